"""`POST /oauth/revoke` (RFC 7009)."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.clients import Client, authenticate
from bascule.authserver.introspect import verified_token
from bascule.authserver.parameters import form_of
from bascule.authserver.server import AuthorizationServer, digest_of
from bascule.clock import UnixTime
from bascule.identity.revocation import LONGEST_LIFE_SECONDS
from bascule.storage import grants, refresh_tokens, revocations
from bascule.web.source import peer_of

REASON = "revoked by the client"


async def revoke(server: AuthorizationServer, request: Request) -> Response:
    """End a token of the client that asks. Raises `OAuthError`.

    A refresh token ends its whole family, an access token itself. What is no token of this
    client is answered in the same way (§2.2), and nothing happens.
    """
    form = await form_of(request)
    client = await authenticate(server, request, form)
    token, peer = form.require("token"), peer_of(request)
    find = partial(
        refresh_tokens.grant_of, token_hash=digest_of(token), client_id=client.client_id
    )
    grant_id = await server.store.look(find)
    if grant_id is not None:
        await _record(server, client, {"kind": "grant", "key": grant_id}, peer)
        end_grant = partial(
            grants.end, grant_id=grant_id, reason=REASON, now=server.clock()
        )
        await server.change(end_grant)
        return Response(status_code=200)
    access = await verified_token(server, token)
    if access is not None and access.agent == client.client_id:
        await _record(server, client, {"kind": "jti", "key": access.jti}, peer)
        now = server.clock()
        end = partial(
            revocations.revoke,
            kind="jti",
            key=access.jti,
            reason=REASON,
            now=now,
            expires_at=UnixTime(now + LONGEST_LIFE_SECONDS),
        )
        await server.change(end)
    return Response(status_code=200)


async def _record(
    server: AuthorizationServer, client: Client, admin: dict[str, str], peer: str
) -> None:
    await server.records.event(
        "revoke",
        peer=peer,
        agent=client.client_id,
        agent_verified=client.agent.verified,
        admin={**admin, "reason": REASON},
    )
