// A client on the npm SDK 2.x: client2.mjs URL TOOL ANOTHER_TOOL, with TOKEN and perhaps MODE
// (`legacy`, `auto` or a revision to insist on) in the environment. Prints like sdk1.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { report } from './report.mjs';

const [url] = process.argv.slice(2);
const { TOKEN, MODE: mode = 'legacy' } = process.env;
const headers = { Authorization: `Bearer ${TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const versionNegotiation = { mode: /^\d/.test(mode) ? { pin: mode } : mode };
const client = new Client({ name: 'client2', version: '1.0' }, { versionNegotiation });
await report(client, transport, () => client.getNegotiatedProtocolVersion());
