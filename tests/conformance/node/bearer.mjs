// Adds a bearer token to each request that this Node process makes to one origin. The
// conformance suite has no option for that.
//   NODE_OPTIONS="--import .../bearer.mjs" BEARER_TOKEN=... BEARER_ORIGIN=http://localhost:8420
import { createRequire } from 'node:module';

const { BEARER_TOKEN: token, BEARER_ORIGIN: origin, BEARER_FOR: program } = process.env;

// Requests of the `undici` package that the program itself uses.
const { Agent, setGlobalDispatcher } = createRequire(program)('undici');
const withToken = (dispatch) => (options, handler) => {
  if (String(options.origin) !== origin) return dispatch(options, handler);
  const headers = { ...options.headers, authorization: `Bearer ${token}` };
  return dispatch({ ...options, headers }, handler);
};
setGlobalDispatcher(new Agent({ bodyTimeout: 0 }).compose(withToken));

// Requests of Node's own `fetch`.
const plain = globalThis.fetch;
globalThis.fetch = (input, init = {}) => {
  const request = new Request(input, { ...init, duplex: 'half' });
  if (new URL(request.url).origin !== origin) return plain(input, init);
  const headers = new Headers(request.headers);
  headers.set('authorization', `Bearer ${token}`);
  return plain(input, { ...init, headers });
};
