"""`POST /oauth/revoke` (RFC 7009)."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.authserver.clients import Client, authenticate
from bascule.authserver.introspect import token_in_force
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
    client, or has ended already, is answered in the same way (§2.2), and nothing happens.
    """
    form = await form_of(request)
    client = await authenticate(server, request, form)
    token, peer = form.require("token"), peer_of(request)
    now = server.clock()
    find = partial(
        refresh_tokens.grant_of, token_hash=digest_of(token), client_id=client.client_id
    )
    grant_id = await server.store.look(find)
    if grant_id is not None:
        await _end_grant(server, client, grant_id, peer, now)
        return Response(status_code=200)
    found = await token_in_force(server, client, token)
    if found is not None:
        jti = found[0].jti
        await _record(server, client, {"kind": "jti", "key": jti}, peer)
        end = partial(
            revocations.revoke,
            kind="jti",
            key=jti,
            reason=REASON,
            now=now,
            expires_at=UnixTime(now + LONGEST_LIFE_SECONDS),
        )
        await server.change(end)
    return Response(status_code=200)


async def _end_grant(
    server: AuthorizationServer, client: Client, grant_id: str, peer: str, now: UnixTime
) -> None:
    live = partial(grants.live, grant_id=grant_id, now=now)
    if await server.store.look(live) is None:
        return
    await _record(server, client, {"kind": "grant", "key": grant_id}, peer)
    end = partial(grants.end, grant_id=grant_id, reason=REASON, now=now)
    await server.change(end)


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
