// A company's identity provider (oidc-provider), as strict and as odd as the product that it
// stands for. company.mjs PORT KEYS PROFILE: KEYS is a JWK set with private keys, PROFILE is
// JSON: path, client, vouches (what it issues identity assertions for), guards (the scopes of
// tokens for resources, for clients that register themselves), quirks. It ends with its
// standard input.
// Who signs in, and what is said of them, is set at /control.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';
import { GRANT, vouch } from './id_jag.mjs';

const [port, keys, text] = process.argv.slice(2);
const profile = JSON.parse(text);
const path = profile.path ?? '';
const origin = `http://127.0.0.1:${port}`;
const jwks = JSON.parse(readFileSync(keys, 'utf8'));
const algorithm = jwks.keys[0].alg;
const accounts = new Map();
const asked = [];
let next = null;
let down = false;
let busy = 0;
let refusing = false;
let idTokenSeconds = 3600;
let kills = null;
const registered = [];

const provider = new Provider(`${origin}${path}`, {
  jwks,
  clients: [
    {
      grant_types: ['authorization_code', 'refresh_token', ...(profile.vouches ? [GRANT] : [])],
      response_types: ['code'],
      id_token_signed_response_alg: algorithm,
      ...profile.client,
    },
  ],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  cookies: { keys: ['only for tests'] },
  enabledJWA: { idTokenSigningAlgValues: jwks.keys.map((key) => key.alg) },
  scopes: ['openid', 'offline_access', ...(profile.scopes ?? [])],
  claims: {
    openid: [
      'sub', 'name', 'email', 'groups', 'tid', 'oid', 'hd', 'hasgroups',
      'cognito:groups', 'token_use', 'typ', '_claim_names',
    ],
    profile: ['name'],
    email: ['email'],
  },
  conformIdTokenClaims: Boolean(profile.onlyUserInfo),
  interactions: { url: (_context, it) => `${path}/interaction/${it.uid}` },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { IdToken: () => idTokenSeconds },
  issueRefreshToken: async (_context, client, code) =>
    client.grantTypeAllowed('refresh_token') &&
    (profile.refreshUnasked || code.scopes.has('offline_access')),
  // Its own way out refuses loopback, where the gateway of these tests is.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    registration: { enabled: Boolean(profile.guards) },
    resourceIndicators: {
      enabled: Boolean(profile.guards),
      getResourceServerInfo: (_context, audience) => ({
        scope: profile.guards,
        audience,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: algorithm } },
      }),
      useGrantedResource: () => true,
    },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: !profile.noLogout,
      logoutSource: (context, form) => {
        context.body = `<!DOCTYPE html><html lang="en"><title>Sign out</title>${form}
          <button form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>`;
      },
    },
  },
  findAccount: (_context, id) =>
    accounts.has(id)
      ? { accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) }
      : undefined,
});

if (profile.vouches) {
  vouch(provider, {
    jwks,
    pairs: profile.vouches,
    claimsOf: (account) => accounts.get(account),
    isRefusing: () => refusing,
    heard: (it) => asked.push(it),
  });
}

provider.use(async (context, go) => {
  const { req, res } = context;
  asked.push({ path: context.path, query: { ...context.query } });
  if (context.path === '/auth' && context.query.resource && !profile.guards) {
    context.throw(400, 'AADSTS9010010');
  }
  if (context.path === '/auth' && profile.noOfflineAccess) {
    if (String(context.query.scope).split(' ').includes('offline_access')) {
      context.throw(400, 'invalid_scope');
    }
  }
  if (context.path === '/token' && kills !== null) {
    await go();
    process.kill(kills, 'SIGKILL'); // what it asked for has happened, and it will not hear of it
    kills = null;
    return undefined;
  }
  if (!context.path.startsWith('/interaction/')) return go();
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  const result = {};
  if (prompt.name === 'login') {
    if (next === null) {
      result.error = 'access_denied';
      result.error_description = 'words of a stranger';
    } else result.login = { accountId: next };
  } else {
    const grant = new provider.Grant({
      accountId: session.accountId,
      clientId: params.client_id,
    });
    grant.addOIDCScope(params.scope);
    if (params.resource) grant.addResourceScope(params.resource, params.scope);
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(req, res, result);
  context.respond = false;
  return undefined;
});

provider.on('registration_create.success', (_context, client) => {
  registered.push(client.clientId);
});

const answer = provider.callback();

function json(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

async function body(req) {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString() || 'null');
}

// The groups of Microsoft Graph, for who shows an access token of this provider.
async function graph(req, res) {
  const token = (req.headers.authorization ?? '').replace('Bearer ', '');
  const found = await provider.AccessToken.find(token);
  if (!found) return json(res, 401, {});
  return json(res, 200, { value: accounts.get(found.accountId).atGraph ?? [] });
}

async function control(req, res) {
  if (req.method === 'GET') return json(res, 200, asked.splice(0));
  const order = await body(req);
  const { account, claims, signsIn, isDown, kill } = order;
  if (isDown !== undefined) down = isDown;
  refusing = order.refusing ?? refusing;
  idTokenSeconds = order.idTokenSeconds ?? idTokenSeconds;
  if (kill !== undefined) kills = kill;
  if (order.forgetsClients) {
    await Promise.all(registered.splice(0).map((id) => provider.Client.adapter.destroy(id)));
  }
  if (claims === null) accounts.delete(account);
  else if (claims !== undefined) accounts.set(account, claims);
  if (signsIn !== undefined) next = signsIn;
  return json(res, 200, { busy });
}

const server = createServer((req, res) => {
  if (req.url === '/control') return control(req, res);
  const began = performance.now();
  res.on('finish', () => {
    busy += performance.now() - began;
  });
  if (down) return json(res, 500, {});
  if (req.url === '/graph/me/getMemberGroups') return graph(req, res);
  if (!req.url.startsWith(`${path}/`)) return json(res, 404, {});
  req.originalUrl = req.url;
  req.url = req.url.slice(path.length);
  return answer(req, res);
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
process.stdin.resume();
process.stdin.on('end', () => {
  server.closeAllConnections();
  server.close();
});
