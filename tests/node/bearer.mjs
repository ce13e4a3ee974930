// Adds a bearer token to each request that this Node process makes to one origin. The
// conformance suite has no option for that.
//   NODE_OPTIONS="--import .../bearer.mjs" BEARER_TOKEN=... BEARER_ORIGIN=http://localhost:8420
import http from 'node:http';
import { createRequire } from 'node:module';

const { BEARER_TOKEN: token, BEARER_ORIGIN: origin, BEARER_FOR: program } = process.env;

// Requests of the `undici` package that the program itself uses.
const { Agent, setGlobalDispatcher } = createRequire(program)('undici');
const extended = (headers) => {
  const more = ['authorization', `Bearer ${token}`];
  if (Array.isArray(headers)) return [...headers, ...more]; // names and values in turn
  if (Symbol.iterator in headers) return [...[...headers].flat(), ...more];
  return { ...headers, [more[0]]: more[1] };
};
const withToken = (dispatch) => (options, handler) => {
  if (String(options.origin) !== origin) return dispatch(options, handler);
  return dispatch({ ...options, headers: extended(options.headers ?? {}) }, handler);
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

// Requests of `node:http`.
const begin = http.request;
http.request = (...given) => {
  const request = begin(...given);
  if (`http://${request.getHeader('host')}` === origin) {
    request.setHeader('authorization', `Bearer ${token}`);
  }
  return request;
};
