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
from bascule.storage import refresh_tokens
from bascule.storage.codes import Reused
from bascule.storage.refresh_tokens import Retried
from bascule.storage.store import Transaction


class _AskFirstError(Exception):
    """An identity provider vouches for the user, and is asked before anything is given."""

    def __init__(self, user: str) -> None:
        super().__init__("the identity provider is to be asked")
        self.user = user


async def refresh(
    server: AuthorizationServer, client: Client, form: Parameters, *, peer: str
) -> TokenResponse:
    """Use a refresh token. Raises `OAuthError`."""
    token = form.require("refresh_token")
    successor = server.new_secret(REFRESH_PREFIX)
    sealed = seal(successor, under=token, entropy=server.entropy)

    def work(
        conn: Transaction, *, ask: Ask, asked: bool
    ) -> tuple[Wanted, Noted, str] | Reused | None:
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
        if rereading.is_asked_about(found.grant.user) and not asked:
            raise _AskFirstError(found.grant.user)
        given = _successor(found, token) if isinstance(found, Retried) else successor
        return (*note_for(conn, found.grant, ask), given)

    ask = Ask.of(server, client, form)
    try:
        found = await server.store.transact_together(partial(work, ask=ask, asked=False))
    except _AskFirstError as exc:  # which undid it: nothing is spent before the answer
        await rereading.reread(server, exc.user)
        ask = Ask.of(server, client, form)  # asking takes its time
        found = await server.store.transact_together(partial(work, ask=ask, asked=True))
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
        await server.store.transact_together(undo)
        raise


def _successor(found: Retried, token: str) -> str:
    successor = unseal(found.sealed_successor, under=token)
    if successor is None:
        raise InvalidGrantError("`refresh_token` was used, and its successor is lost")
    return successor
