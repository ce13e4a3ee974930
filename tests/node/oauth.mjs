// A client that logs its user in: oauth.mjs URL TOOL ANOTHER_TOOL, with SDK (`1` or `2`),
// REDIRECT and perhaps CLIENT_ID (else it registers itself) in the environment. It prints the
// address to open as one JSON object, reads where the browser was sent to as one line, and
// prints like sdk1.mjs.
import readline from 'node:readline';
import { report } from './report.mjs';

const { SDK, REDIRECT, CLIENT_ID } = process.env;
const url = new URL(process.argv[2]);
const sdk1 = async () => ({
  ...(await import('@modelcontextprotocol/sdk/client/index.js')),
  ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
});
const { Client, StreamableHTTPClientTransport } =
  SDK === '1' ? await sdk1() : await import('@modelcontextprotocol/client');

const kept = { client: CLIENT_ID && { client_id: CLIENT_ID } };
const authProvider = {
  redirectUrl: REDIRECT,
  clientMetadata: {
    client_name: 'walker',
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'a state',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  redirectToAuthorization: (open) => console.log(JSON.stringify({ open })),
};
const make = () => new Client({ name: 'walker', version: '1.0' });
const begun = new StreamableHTTPClientTransport(url, { authProvider });
await make().connect(begun).catch((error) => {
  if (error.constructor.name !== 'UnauthorizedError') throw error;
});
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { searchParams } = new URL((await lines.next()).value);
await begun.finishAuth(SDK === '1' ? searchParams.get('code') : searchParams);
const transport = new StreamableHTTPClientTransport(url, { authProvider });
const client = make();
await report(client, transport, () => transport.protocolVersion);
process.exit(0);
