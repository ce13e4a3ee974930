"""A code for tokens (OAuth 2.1 §4.1.3)."""

from __future__ import annotations

from bascule.authserver import issue, rereading
from bascule.authserver.clients import Client
from bascule.authserver.errors import InvalidGrantError
from bascule.authserver.family import Ask, note_for, report_reuse
from bascule.authserver.issue import Noted, TokenResponse, Wanted
from bascule.authserver.parameters import Parameters
from bascule.authserver.pkce import challenge_of
from bascule.authserver.possession import bind_refresh_tokens
from bascule.authserver.server import REFRESH_PREFIX, AuthorizationServer, digest_of
from bascule.storage import codes, grants, refresh_tokens
from bascule.storage.codes import Reused
from bascule.storage.grants import Grant
from bascule.storage.store import Transaction


async def redeem_code(
    server: AuthorizationServer, client: Client, form: Parameters, *, peer: str
) -> TokenResponse:
    """Redeem a code. Raises `OAuthError`."""
    code = form.require("code")
    challenge = challenge_of(form.require("code_verifier"))
    if challenge is None:
        raise InvalidGrantError("`code_verifier` is malformed")
    redirect_uri = form.get("redirect_uri")
    await _reread(server, client, digest_of(code))
    ask = Ask.of(server, client, form)
    refresh_token = server.new_secret(REFRESH_PREFIX)

    def work(conn: Transaction) -> tuple[Wanted, Noted] | Reused | None:
        found = codes.redeem(
            conn,
            code_hash=digest_of(code),
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            code_challenge=challenge,
            now=ask.now,
        )
        if not isinstance(found, Grant):
            return found
        bind_refresh_tokens(conn, found, client)
        noted = note_for(conn, found, ask)
        token_hash = digest_of(refresh_token)
        refresh_tokens.add(conn, token_hash=token_hash, grant=found, now=ask.now)
        return noted

    found = await server.store.transact_together(work)
    if isinstance(found, Reused):
        await report_reuse(server, client, found, what="authorization code", peer=peer)
    if not isinstance(found, tuple):
        raise InvalidGrantError(
            "`code` is not valid for this client, redirect and verifier"
        )
    wanted, noted = found
    return await issue.give(
        server, wanted, noted, record="token.issue", peer=peer, refresh_token=refresh_token
    )


async def _reread(server: AuthorizationServer, client: Client, code_hash: bytes) -> None:
    """Ask the identity provider of whom a code is for: the browser's login may be old."""

    def user(conn: Transaction) -> str | None:
        grant_id = codes.grant_of(conn, code_hash=code_hash, client_id=client.client_id)
        grant = None if grant_id is None else grants.find(conn, grant_id)
        return None if grant is None else grant.user

    await rereading.reread(server, await server.store.look_together(user))
