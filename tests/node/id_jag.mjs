// Identity assertions (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant §4.3) for
// oidc-provider, which has none: a token-exchange grant. Of oidc-provider are the client's
// authentication, the refresh tokens, their rotation's store, and the keys; which assertions
// are issued, and to whom, is of this file.
import { randomUUID } from 'node:crypto';
import { SignJWT, createLocalJWKSet, importJWK, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

export const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPES = 'urn:ietf:params:oauth:token-type:';
const SECONDS = 300;
const PARAMETERS = [
  'audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type',
];

// pairs: {audience, resource, client_id}, what the administrator allows; claimsOf: of an
// account, undefined where there is none; isRefusing: whether the policy says no; heard: told
// of each request.
export function vouch(provider, { jwks, pairs, claimsOf, isRefusing, heard }) {
  const [key] = jwks.keys;
  const { kty, kid, alg, n, e, crv, x, y } = key;
  const published = createLocalJWKSet({ keys: [{ kty, kid, alg, n, e, crv, x, y }] });

  async function ofIdToken(token, client) {
    try {
      const { payload } = await jwtVerify(token, published, {
        issuer: provider.issuer,
        audience: client.clientId,
      });
      return { account: payload.sub };
    } catch {
      throw new errors.InvalidGrant('the ID token is not good');
    }
  }

  async function ofRefreshToken(token, client) {
    const shown = await provider.RefreshToken.find(token);
    if (!shown || shown.clientId !== client.clientId) {
      throw new errors.InvalidGrant('the refresh token is not good');
    }
    if (shown.consumed) {
      await provider.RefreshToken.revokeByGrantId(shown.grantId);
      throw new errors.InvalidGrant('the refresh token was used before');
    }
    await shown.consume();
    const { accountId, authTime, claims, grantId, gty, nonce, scope, sessionUid, sid } = shown;
    const next = new provider.RefreshToken({
      accountId, authTime, claims, client, grantId, gty, nonce, scope, sessionUid, sid,
      iiat: shown.iiat,
    });
    return { account: accountId, refresh_token: await next.save() };
  }

  provider.registerGrantType(
    GRANT,
    async (context) => {
      const { client, params } = context.oidc;
      heard({ exchange: { ...params } });
      if (params.requested_token_type !== `${TYPES}id-jag`) {
        throw new errors.InvalidRequest('only identity assertions are issued');
      }
      const read = {
        [`${TYPES}id_token`]: ofIdToken,
        [`${TYPES}refresh_token`]: ofRefreshToken,
      }[params.subject_token_type];
      if (!read) throw new errors.InvalidRequest('subject_token_type');
      const pair = pairs.find(
        (it) => it.audience === params.audience && it.resource === params.resource,
      );
      if (!pair) throw new errors.InvalidTarget();
      if (isRefusing()) throw new errors.AccessDenied('the policy says no');
      const { account, ...more } = await read(params.subject_token, client);
      const claims = claimsOf(account);
      if (claims === undefined) throw new errors.InvalidGrant('the account is gone');
      const { client_id: clientId, resource } = pair;
      const { scope } = params;
      const assertion = await new SignJWT({ ...claims, client_id: clientId, resource, scope })
        .setProtectedHeader({ alg, kid, typ: 'oauth-id-jag+jwt' })
        .setIssuer(provider.issuer)
        .setSubject(account)
        .setAudience(pair.audience)
        .setJti(randomUUID())
        .setIssuedAt()
        .setExpirationTime(`${SECONDS}s`)
        .sign(await importJWK(key, alg));
      context.body = {
        access_token: assertion,
        issued_token_type: `${TYPES}id-jag`,
        token_type: 'N_A',
        expires_in: SECONDS,
        ...more,
      };
    },
    PARAMETERS,
  );
}
