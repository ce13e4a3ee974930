// A server on the npm SDK 1.x, as that version's own examples begin: server1.mjs PACKAGE
// It says where it listens, and ends with its standard input.
import express from 'express';

const sdk = (part) => import(`${process.argv[2]}/server/${part}.js`);
const { McpServer } = await sdk('mcp');
const { StreamableHTTPServerTransport } = await sdk('streamableHttp');
const made = await sdk('express').catch(() => undefined);
const app = made === undefined ? express() : made.createMcpExpressApp();
if (made === undefined) app.use(express.json());

app.post('/mcp', async (request, response) => {
    const server = new McpServer({ name: 'twin', version: '1.0.0' });
    server.registerTool('add', { description: 'Add two numbers.' }, () => ({ content: [] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
});
const listener = app.listen(0, '127.0.0.1', () => console.log(listener.address().port));
process.stdin.on('end', () => process.exit()).resume();
