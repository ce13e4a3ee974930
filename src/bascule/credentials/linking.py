"""A linked account begins, and what is done when it has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from bascule.clock import Clock, Entropy, UnixTime
from bascule.credentials.link_clients import Secrets
from bascule.credentials.link_flow import Begun
from bascule.credentials.linked_tokens import (
    LinkedTokens,
    decode,
    expiry,
    name_of,
)
from bascule.credentials.wrapping import VaultError
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.errors import OAuthClientError
from bascule.oauthclient.revocation import revoke_token
from bascule.oauthclient.tokens import Tokens
from bascule.storage import link_requests, linked_accounts
from bascule.storage.link_requests import LinkRequest
from bascule.storage.linked_accounts import RETRY_SECONDS, LinkedAccount
from bascule.storage.store import StateUnavailableError, Store, Transaction

log = logging.getLogger("bascule")


def link(
    conn: Transaction,
    vault: Secrets,
    request: LinkRequest,
    begun: Begun,
    tokens: Tokens,
    *,
    account_id: str,
    now: UnixTime,
) -> bool:
    """Keep an account for the user of a request; False when that is over meanwhile.

    `account_id`: 128 random bits in hex.
    """
    if not link_requests.finish(conn, request.id_hash, linked=True, now=now):
        return False
    asked = dict.fromkeys((*begun.pending.scopes, *tokens.scope))
    account = LinkedAccount(
        id=account_id,
        user=request.user,
        connector=request.connector,
        resource=begun.url,
        issuer=begun.server.issuer,
        scope=tuple(asked),
        version=1,
        expires_at=expiry(tokens),
        linked_at=now,
        refreshed_at=now,
    )
    replaced = linked_accounts.add(conn, account)
    if replaced is not None:
        vault.delete(conn, request.user, name_of(replaced))
    linked = LinkedTokens(tokens, begun.client, begun.server, begun.resource, version=1)
    vault.put(conn, request.user, name_of(account_id), linked.encode())
    return True


class EndedAccounts:
    """Revokes tokens of ended accounts where they came from (RFC 7009), then forgets them.

    They count nowhere here any more; this is for the other side. Of several processes one
    does it for each.
    """

    def __init__(
        self,
        store: Store,
        vault: Secrets,
        policy: Callable[[str], FetchPolicy],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`policy`: for what the upstream of that address names."""
        self._store = store
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._entropy = entropy

    async def look(self) -> None:
        """Look once; what cannot be done now is done later, a few times."""
        now = self._clock()
        try:
            if not await self._store.look(partial(linked_accounts.has_to_revoke, now=now)):
                return
            take = partial(linked_accounts.to_revoke, now=now)
            for account in await self._store.transact(take):
                if await self._is_done(account):
                    await self._store.transact(partial(self._forget, account=account))
        except StateUnavailableError as exc:
            log.warning("accounts that have ended: %s", exc)

    async def _is_done(self, account: LinkedAccount) -> bool:
        """Try to revoke; tell whether nothing is left to try."""
        name = name_of(account.id)
        try:
            kept = await self._store.look(
                partial(self._vault.get, owner=account.user, name=name)
            )
            if kept is not None:
                await self._revoke(account, decode(kept))
        except (OAuthClientError, VaultError) as exc:
            log.warning(
                "connector `%s`: tokens of an account that ended were not revoked: %s",
                account.connector,
                exc,
            )
            return account.tries + 1 >= len(RETRY_SECONDS)
        return True

    async def _revoke(self, account: LinkedAccount, linked: LinkedTokens) -> None:
        """Revoke the refresh token, which ends all of its grant, else the access token."""
        tokens = linked.tokens
        await revoke_token(
            linked.server,
            linked.client.client(),
            tokens.refresh_token or tokens.access_token,
            self._policy(account.resource),
            hint="access_token" if tokens.refresh_token is None else "refresh_token",
            now=self._clock(),
            entropy=self._entropy,
        )

    def _forget(self, conn: Transaction, account: LinkedAccount) -> None:
        linked_accounts.forget(conn, account.id)
        self._vault.delete(conn, account.user, name_of(account.id))
