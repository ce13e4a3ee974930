// A client on the npm SDK 1.x: sdk1.mjs URL TOOL ANOTHER_TOOL, with TOKEN in the environment.
// It lists the tools, calls both, and prints what came of it as one JSON object.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { report } from './report.mjs';

const [url] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${process.env.TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: 'sdk1', version: '1.0' });
await report(client, transport, () => transport.protocolVersion);
