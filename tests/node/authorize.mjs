// A client's OAuth by an npm SDK: authorize.mjs PACKAGE URL CALLBACK.
// Prints where to send the browser as {"open"}, reads where that ended as a line, and prints
// the tokens as {"tokens"}: first those of the code, then those of a refresh.
import { createInterface } from 'node:readline/promises';

const [library, url, callback] = process.argv.slice(2);
const { auth } = await import(library);
const kept = {};
let open;
const provider = {
  redirectUrl: callback,
  clientMetadata: {
    client_name: 'A client on an npm SDK',
    redirect_uris: [callback],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'state-of-the-client',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (address) => { open = address.href; },
};
const say = (found) => console.log(JSON.stringify(found));

await auth(provider, { serverUrl: url });
say({ open });
const input = createInterface({ input: process.stdin });
const answer = new URL((await input[Symbol.asyncIterator]().next()).value).searchParams;
input.close();
const given = { authorizationCode: answer.get('code'), iss: answer.get('iss') };
await auth(provider, { serverUrl: url, ...given });
say({ tokens: kept.tokens });
await auth(provider, { serverUrl: url });
say({ tokens: kept.tokens });
