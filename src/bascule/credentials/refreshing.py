"""One refresh of a user's tokens by whoever has the lease; what becomes of the account."""

from __future__ import annotations

from functools import partial

from bascule.clock import Clock, Entropy, UnixTime
from bascule.credentials.giving_back import give_back
from bascule.credentials.link_clients import Secrets
from bascule.credentials.link_target import Target
from bascule.credentials.linked_tokens import LinkedTokens, client_for, expiry, name_of
from bascule.oauthclient.authorization import refresh
from bascule.oauthclient.errors import (
    UNKNOWN_CLIENT,
    GrantRefusedError,
    OAuthClientError,
)
from bascule.storage import linked_accounts
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import Store, Transaction


class Refreshing:
    """Asks authorization servers, and writes down what they answer."""

    def __init__(
        self, store: Store, vault: Secrets, clock: Clock, entropy: Entropy
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._entropy = entropy

    async def lease(self, account: LinkedAccount, now: UnixTime) -> bool:
        """Take the turn to refresh; False while another process has it."""
        take = partial(
            linked_accounts.lease, account_id=account.id, version=account.version, now=now
        )
        return await self._store.transact(take)

    async def refresh(
        self, target: Target, account: LinkedAccount, linked: LinkedTokens
    ) -> OAuthClientError | None:
        """Refresh, as the one who has the lease; gives why nothing became of it.

        None when something changed, be it that the account has ended. Whatever happens
        between the answer and the end of the transaction, the old token is still there.
        """
        client = client_for(target.client, linked.client)
        try:
            fresh = await refresh(
                linked.server,
                client,
                linked.tokens.refresh_token or "",
                target.policy,
                resource=linked.resource,
                held=linked.tokens.scope,
                prover=linked.prover,
                now=self._clock(),
                entropy=self._entropy,
            )
        except GrantRefusedError as exc:
            is_registered = target.client is None and client.issuer is not None
            if exc.is_final or (is_registered and exc.error in UNKNOWN_CLIENT):
                await self.end(account, f"the authorization server says `{exc.error}`")
                return None
            await self._release(account)
            return exc
        except OAuthClientError as exc:
            await self._release(account)
            return exc
        write = partial(self._write, account=account, linked=linked.after(fresh))
        if await self._store.transact(partial(write, now=self._clock())):
            await give_back(
                target,
                linked.server,
                client,
                fresh,
                now=self._clock(),
                entropy=self._entropy,
            )
        return None

    def _write(
        self,
        conn: Transaction,
        account: LinkedAccount,
        linked: LinkedTokens,
        now: UnixTime,
    ) -> bool:
        """Keep what a refresh brought, unless another one was there before.

        True when the account has ended meanwhile, so that nobody will use it. One that took
        its place may be of the same grant, which some servers would revoke as a whole.
        """
        if linked_accounts.refreshed(
            conn,
            account.id,
            version=account.version,
            expires_at=expiry(linked.tokens),
            now=now,
        ):
            self._vault.put(conn, account.user, name_of(account.id), linked.encode())
            return False
        return linked_accounts.live(conn, account.user, account.connector) is None

    async def _release(self, account: LinkedAccount) -> None:
        await self._store.transact(
            partial(linked_accounts.release, account_id=account.id, version=account.version)
        )

    async def end(self, account: LinkedAccount, reason: str) -> None:
        """End an account as it was read; a newer one of the same user goes on."""
        await self._store.transact(
            partial(
                linked_accounts.end,
                account_id=account.id,
                reason=reason,
                now=self._clock(),
                version=account.version,
            )
        )
