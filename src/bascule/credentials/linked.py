"""The accounts of users at upstreams: a token for each call, fresh, and nobody else's.

A token from memory costs no query: it is good as long as the directory's generation, which
every revocation and every unlinking raises, is the one under which it was read. Refreshing
is done by one for all that wait: in a process by one task, across processes by a lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from math import inf

from bascule.clock import Clock, Entropy, UnixTime, monotonic
from bascule.credentials.bound import Bound
from bascule.credentials.link_clients import Secrets
from bascule.credentials.link_target import Target
from bascule.credentials.linked_tokens import LinkedTokens, decode, name_of
from bascule.credentials.refreshing import Refreshing
from bascule.errors import BasculeError
from bascule.oauthclient.errors import ServerUnavailableError
from bascule.storage import linked_accounts
from bascule.storage.linked_accounts import LEASE_SECONDS, LinkedAccount
from bascule.storage.store import Store, Transaction

AHEAD_SECONDS = 60
"""Before its end a token is refreshed; until then it goes on being used."""
SPARE_SECONDS = 5
"""A token that ends sooner is not sent any more."""
RETRY_SECONDS = 5.0
"""After an attempt to refresh that brought nothing, while the old token is good."""
POLL_SECONDS = 0.05
"""Between looks whether another process has refreshed."""
CALM_SECONDS = 30
"""A token as young as this which an upstream refuses is not refreshed again."""

MAX_KEPT = 10_000
"""Tokens in memory; the oldest go first, and are read again."""


class LinkNeededError(BasculeError):
    """A user has to connect an account before a call can be made."""

    def __init__(self, connector: str, user: str) -> None:
        super().__init__(f"an account for connector `{connector}` must be connected first")
        self.connector = connector
        self.user = user


@dataclass(frozen=True, slots=True)
class Held:
    """What a call is made with."""

    authorization: str = field(repr=False)
    """Value of `Authorization`."""
    account_id: str
    version: int
    scope: tuple[str, ...]
    """All that was asked for."""
    bound: Bound | None = None
    """What proves the key of the token; None for a bearer token."""

    @property
    def mark(self) -> tuple[str, int]:
        """Tells it from the token of another time, or of another account."""
        return self.account_id, self.version


@dataclass(frozen=True, slots=True)
class _Kept:
    held: Held
    generation: int
    url: str
    until: float
    """By the monotonic clock: from then on it is refreshed, or looked at."""


class LinkedAccounts:
    """Those of one process; used on its event loop."""

    def __init__(
        self,
        store: Store,
        vault: Secrets,
        clock: Clock,
        entropy: Entropy,
        generation: Callable[[], int],
    ) -> None:
        """`generation`: of the directory, as this process knows it."""
        self._store = store
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._generation = generation
        self._refreshing = Refreshing(store, vault, clock, entropy)
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._running: dict[Hashable, asyncio.Task[Held]] = {}

    def cached(self, target: Target, user: str) -> Held | None:
        """Give what there is at hand: no query, no waiting."""
        kept = self._kept.get((user, target.connector))
        if (
            kept is None
            or kept.generation != self._generation()
            or kept.url != target.url
            or monotonic() >= kept.until
        ):
            return None
        return kept.held

    async def get(self, target: Target, user: str) -> Held:
        """Give what a call for a user is made with.

        Raises `LinkNeededError`, `OAuthClientError` when the authorization server does not
        give a new token, and `StateUnavailableError`.
        """
        return self.cached(target, user) or await self._once(target, user, None)

    async def refused(self, target: Target, user: str, mark: Hashable) -> Held:
        """Give another token after the upstream refused the one of that mark.

        Raises as `get` does; `LinkNeededError` when there is no better one to be had.
        """
        return await self._once(target, user, mark)

    async def newest(self, target: Target, user: str) -> Held:
        """Give what there is now, whatever is at hand. Raises as `get` does."""
        return await self._once(target, user, None)

    async def _once(self, target: Target, user: str, refused: Hashable) -> Held:
        """Do for all who ask meanwhile; it goes on when one of them goes away.

        Who asks after an account has ended does not get what was begun before.
        """
        key = (user, target.connector, self._generation(), refused)
        task = self._running.get(key)
        if task is None:
            find = self._find(target, user, refused)
            task = asyncio.get_running_loop().create_task(find)
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[Held]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # all who wanted to know it may have gone away

    async def _find(self, target: Target, user: str, refused: Hashable) -> Held:
        """Read what is kept, and refresh it when that is due."""
        generation, began = self._generation(), monotonic()
        while True:
            account, linked = await self._read(target, user)
            now = self._clock()
            is_refused = refused == (account.id, account.version)
            good = not is_refused and _lasts(account, now, SPARE_SECONDS)
            if good and _lasts(account, now, _ahead(account)):
                seconds = float(account.expires_at - now - _ahead(account))
                unlimited = account.expires_at == 0
                return self._keep(
                    target, account, linked, generation, inf if unlimited else seconds
                )
            if not good:
                await self._require_refreshable(account, linked, is_refused, now)
            if linked.tokens.refresh_token is None:
                left = account.expires_at - now - SPARE_SECONDS
                return self._keep(target, account, linked, generation, left)
            if await self._refreshing.lease(account, now):
                problem = await self._refreshing.refresh(target, account, linked)
                if problem is None:
                    continue
                if not good:
                    raise problem
                return self._keep(target, account, linked, generation, RETRY_SECONDS)
            if good:
                return self._keep(target, account, linked, generation, POLL_SECONDS)
            if monotonic() > began + LEASE_SECONDS + 1:
                raise ServerUnavailableError("another process is still refreshing it")
            await asyncio.sleep(POLL_SECONDS)

    async def _read(self, target: Target, user: str) -> tuple[LinkedAccount, LinkedTokens]:
        """Read an account of that very upstream. Raises `LinkNeededError`."""
        read = partial(self._of, user=user, connector=target.connector)
        found = await self._store.look(read)
        elsewhere = found is not None and (
            found[0].resource != target.url or target.issuer not in {None, found[0].issuer}
        )
        if found is None or elsewhere:
            # Tokens go to nobody but whom they are for, whatever is configured since.
            self._kept.pop((user, target.connector), None)
            raise LinkNeededError(target.connector, user)
        return found

    def _of(
        self, conn: Transaction, user: str, connector: str
    ) -> tuple[LinkedAccount, LinkedTokens] | None:
        account = linked_accounts.live(conn, user, connector)
        if account is None:
            return None
        kept = self._vault.get(conn, user, name_of(account.id))
        return None if kept is None else (account, decode(kept))

    async def _require_refreshable(
        self,
        account: LinkedAccount,
        linked: LinkedTokens,
        is_refused: bool,
        now: UnixTime,
    ) -> None:
        """Raise `LinkNeededError` where no refresh can help."""
        is_young = account.refreshed_at > now - CALM_SECONDS
        if is_refused and is_young and account.version > 1:
            raise LinkNeededError(account.connector, account.user)
        if linked.tokens.refresh_token is None:
            reason = "its token is over, and cannot be refreshed"
            await self._refreshing.end(account, reason)
            raise LinkNeededError(account.connector, account.user)

    def _keep(
        self,
        target: Target,
        account: LinkedAccount,
        linked: LinkedTokens,
        generation: int,
        seconds: float,
    ) -> Held:
        """Keep it for the next calls, for so many seconds."""
        held = Held(
            authorization=linked.tokens.authorization(),
            account_id=account.id,
            version=account.version,
            scope=account.scope,
            bound=self._bound(target, linked),
        )
        key = (account.user, account.connector)
        self._kept.pop(key, None)
        self._kept[key] = _Kept(held, generation, target.url, monotonic() + seconds)
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return held

    def _bound(self, target: Target, linked: LinkedTokens) -> Bound | None:
        prover, token = linked.prover, linked.tokens.access_token
        if prover is None:
            return None
        return Bound(prover, token, target.url, self._clock, self._entropy)


def _lasts(account: LinkedAccount, now: UnixTime, seconds: int) -> bool:
    """Tell whether the access token is good for so long; who says nothing is believed."""
    return account.expires_at == 0 or account.expires_at - seconds > now


def _ahead(account: LinkedAccount) -> int:
    """Give how long before its end to refresh: less where tokens are short-lived."""
    lifetime = account.expires_at - account.refreshed_at
    return max(SPARE_SECONDS, min(AHEAD_SECONDS, lifetime // 4))
