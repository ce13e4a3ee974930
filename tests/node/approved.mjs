// A client on the npm SDK 2.x that opens pages: approved.mjs URL TOOL TEXT, with TOKEN in the
// environment. Prints each page that it is sent to, then what the tool said or the error.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, name, text] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${process.env.TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client(
  { name: 'approved', version: '1.0' },
  {
    capabilities: { elicitation: { url: {} } },
    versionNegotiation: { mode: { pin: '2026-07-28' } },
  },
);
const say = (found) => console.log(JSON.stringify(found));
client.setRequestHandler('elicitation/create', ({ params }) => {
  say({ page: params.url });
  return { action: 'accept' };
});
try {
  await client.connect(transport);
  const { content } = await client.callTool({ name, arguments: { text } });
  say({ said: content[0].text });
} catch ({ code, message }) {
  say({ error: { code, message } });
}
await client.close();
