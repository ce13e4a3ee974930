// An OpenID provider (oidc-provider) that logs in whoever `login_hint` names, else alice, and
// lets clients register themselves.
// provider.mjs PORT KEYS [FORMAT]: KEYS is a JWK set with private keys, FORMAT of access tokens
// `jwt` or `opaque`; ends with its standard input, each line of which is an access token to end.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [port, keys, format = 'jwt'] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const jwks = JSON.parse(readFileSync(keys, 'utf8'));
const redirect = 'http://127.0.0.1/callback';

const provider = new Provider(issuer, {
  jwks,
  clients: [
    {
      client_id: 'agent-7',
      client_secret: 'secret of agent-7, long enough for anybody',
      grant_types: ['authorization_code', 'client_credentials'],
      redirect_uris: [redirect],
      id_token_signed_response_alg: jwks.keys[0].alg,
    },
  ],
  cookies: { keys: ['only for tests'] },
  issueRefreshToken: async (_context, client) => client.grantTypeAllowed('refresh_token'),
  enabledJWA: { idTokenSigningAlgValues: jwks.keys.map((key) => key.alg) },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, indicator) => ({
        scope: 'mcp:desk mcp:annex desk.echo',
        audience: indicator,
        accessTokenTTL: 600,
        accessTokenFormat: format,
        jwt: { sign: { alg: jwks.keys[0].alg } },
      }),
      useGrantedResource: () => true,
    },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_context, token) =>
    token.accountId ? { groups: [`friends of ${token.accountId}`] } : undefined,
});

provider.use(async (context, next) => {
  if (!context.path.startsWith('/interaction/')) return next();
  const { req, res } = context;
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  const result = {};
  if (prompt.name === 'login') {
    result.login = { accountId: params.login_hint ?? 'alice' };
  } else {
    const grant = new provider.Grant({
      accountId: session.accountId,
      clientId: params.client_id,
    });
    grant.addOIDCScope('openid');
    grant.addResourceScope(params.resource, params.scope);
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(req, res, result);
  context.respond = false;
  return undefined;
});

const server = provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
const lines = createInterface({ input: process.stdin });
lines.on('line', async (token) => {
  await (await provider.AccessToken.find(token)).destroy();
  console.log('ended');
});
lines.on('close', () => {
  server.closeAllConnections();
  server.close();
});
