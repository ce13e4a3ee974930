"""Tokens given back (RFC 7009)."""

from __future__ import annotations

from typing import Literal

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client, authenticated
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.errors import GrantRefusedError, ServerUnavailableError
from bascule.oauthclient.token_endpoint import post_form, refusal_error
from bascule.oauthclient.tokens import Tokens


async def revoke_token(
    server: AuthorizationServer,
    client: Client,
    token: str,
    policy: FetchPolicy,
    *,
    hint: Literal["access_token", "refresh_token"],
    now: UnixTime,
    entropy: Entropy,
) -> bool:
    """Tell the server that a token is not used any more; False where it takes no word.

    A refresh token ends what hangs on it too (§2.1), so give that where there is one. True
    means that the token is good for nothing, known there or not. Raises
    `GrantRefusedError`, `ServerUnavailableError` (try again) and `UnusableServerError`.
    """
    if server.revocation_endpoint is None:
        return False
    proofs, headers = authenticated(client, server, now=now, entropy=entropy)
    form = {"token": token, "token_type_hint": hint, **proofs}
    reply = await post_form(server.revocation_endpoint, form, headers, policy)
    if reply.status == 200:
        return True
    error = refusal_error(reply)
    if error is not None and reply.status in {400, 401}:
        raise GrantRefusedError(error)
    raise ServerUnavailableError(f"the revocation endpoint answers with {reply.status}")


async def revoke_grant(
    server: AuthorizationServer,
    client: Client,
    tokens: Tokens,
    policy: FetchPolicy,
    *,
    now: UnixTime,
    entropy: Entropy,
) -> bool:
    """Revoke the refresh token, which ends all of its grant, else the access token.

    Gives and raises what `revoke_token` does.
    """
    return await revoke_token(
        server,
        client,
        tokens.refresh_token or tokens.access_token,
        policy,
        hint="access_token" if tokens.refresh_token is None else "refresh_token",
        now=now,
        entropy=entropy,
    )
