"""A linked account begins, and what is done when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bascule.clock import Clock, Entropy, UnixTime
from bascule.credentials.link_clients import Secrets
from bascule.credentials.link_flow import Begun
from bascule.credentials.linked_tokens import (
    LinkedTokens,
    client_for,
    decode,
    expiry,
    name_of,
)
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.revocation import revoke_grant
from bascule.oauthclient.tokens import Tokens
from bascule.storage import link_requests, linked_accounts
from bascule.storage.link_requests import LinkRequest
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import Store, Transaction


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
    linked = LinkedTokens(
        tokens, begun.client, begun.server, begun.resource, 1, begun.dpop_key
    )
    vault.put(conn, request.user, name_of(account_id), linked.encode())
    return True


class AccountsToRevoke:
    """Accounts that have ended, as a kind of `EndedTokens`."""

    def __init__(
        self,
        store: Store,
        vault: Secrets,
        policy: Callable[[str], FetchPolicy],
        client: Callable[[str], Client | None],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`policy`: for what the upstream of that address names.

        `client` gives the one that a connector is configured with; it may raise
        `BasculeError`.
        """
        self._store = store
        self._client = client
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._entropy = entropy

    def is_due(self, conn: Transaction, *, now: UnixTime) -> bool:
        """Tell whether there is one to be revoked."""
        return linked_accounts.has_to_revoke(conn, now=now)

    def take(self, conn: Transaction, *, now: UnixTime) -> list[LinkedAccount]:
        """Take those that are to be revoked now."""
        return linked_accounts.to_revoke(conn, now=now)

    async def revoke(self, ended: LinkedAccount) -> None:
        """Revoke what there is of it. Raises `BasculeError`."""
        get = partial(self._vault.get, owner=ended.user, name=name_of(ended.id))
        kept = await self._store.look(get)
        if kept is None:
            return
        linked = decode(kept)
        await revoke_grant(
            linked.server,
            client_for(self._client(ended.connector), linked.client),
            linked.tokens,
            self._policy(ended.resource),
            now=self._clock(),
            entropy=self._entropy,
        )

    def forget(self, conn: Transaction, ended: LinkedAccount) -> None:
        """Forget one, and its tokens."""
        linked_accounts.forget(conn, ended.id)
        self._vault.delete(conn, ended.user, name_of(ended.id))

    def named(self, ended: LinkedAccount) -> str:
        """Name its connector."""
        return f"connector `{ended.connector}`"
