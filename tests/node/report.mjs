// What every client does: connect, list, call what it may and what it may not.
export async function report(client, transport, version) {
  const [, tool, another] = process.argv.slice(2);
  const found = {};
  const attempt = async (name, action) => {
    try {
      found[name] = await action();
    } catch (error) {
      found[`${name}_error`] = { code: error.code, message: error.message, data: error.data };
    }
  };
  await attempt('connected', () => client.connect(transport).then(() => true));
  if (found.connected) {
    found.version = version();
    await attempt('tools', async () => (await client.listTools()).tools.map((it) => it.name));
    await attempt('called', () => client.callTool({ name: tool, arguments: {} }));
    await attempt('refused', () => client.callTool({ name: another, arguments: {} }));
    await attempt('closed', () => client.close().then(() => true));
  }
  console.log(JSON.stringify(found));
}
