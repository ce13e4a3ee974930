"""A refresh token for its successor and an access token (OAuth 2.1 §4.3)."""

from __future__ import annotations

from functools import partial

from bascule.audit.writer import LogUnavailableError
from bascule.authserver import issue, rereading
from bascule.authserver.clients import Client
from bascule.authserver.errors import InvalidGrantError
from bascule.authserver.family import Ask, note_for, report_reuse
from bascule.authserver.issue import Noted, TokenResponse, Wanted
from bascule.authserver.parameters import Parameters
from bascule.authserver.sealed import seal, unseal
from bascule.authserver.server import REFRESH_PREFIX, AuthorizationServer, digest_of
from bascule.storage import grants, refresh_tokens
from bascule.storage.codes import Reused
from bascule.storage.refresh_tokens import Retried
from bascule.storage.store import Transaction


async def refresh(
    server: AuthorizationServer, client: Client, form: Parameters, *, peer: str
) -> TokenResponse:
    """Use a refresh token. Raises `OAuthError`."""
    token = form.require("refresh_token")
    await _reread(server, client, digest_of(token))
    ask = Ask.of(server, client, form)
    successor = server.new_secret(REFRESH_PREFIX)
    sealed = seal(successor, under=token, entropy=server.entropy)

    def work(conn: Transaction) -> tuple[Wanted, Noted, str] | Reused | None:
        found = refresh_tokens.rotate(
            conn,
            token_hash=digest_of(token),
            client_id=client.client_id,
            successor_hash=digest_of(successor),
            sealed_successor=sealed,
            now=ask.now,
            cnf=client.cnf,
        )
        if found is None or isinstance(found, Reused):
            return found
        given = _successor(found, token) if isinstance(found, Retried) else successor
        return (*note_for(conn, found.grant, ask), given)

    found = await server.store.transact(work)
    if isinstance(found, Reused):
        await report_reuse(server, client, found, what="refresh token", peer=peer)
    if not isinstance(found, tuple):
        raise InvalidGrantError("`refresh_token` is not valid for this client")
    wanted, noted, given = found
    try:
        return await issue.give(
            server, wanted, noted, record="token.refresh", peer=peer, refresh_token=given
        )
    except LogUnavailableError:
        # Nobody gets the successor. The log may be away for longer than a retry is taken
        # for one, and then our own fault would look like a copied token.
        undo = partial(
            refresh_tokens.take_back,
            token_hash=digest_of(token),
            successor_hash=digest_of(successor),
        )
        await server.store.transact(undo)
        raise


async def _reread(server: AuthorizationServer, client: Client, token_hash: bytes) -> None:
    """Ask the identity provider of whom a token is for, before anything of it is spent."""

    def user(conn: Transaction) -> str | None:
        grant_id = refresh_tokens.grant_of(
            conn, token_hash=token_hash, client_id=client.client_id
        )
        grant = None if grant_id is None else grants.find(conn, grant_id)
        return None if grant is None else grant.user

    await rereading.reread(server, await server.store.look(user))


def _successor(found: Retried, token: str) -> str:
    successor = unseal(found.sealed_successor, under=token)
    if successor is None:
        raise InvalidGrantError("`refresh_token` was used, and its successor is lost")
    return successor
