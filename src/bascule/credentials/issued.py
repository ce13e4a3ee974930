"""Tokens that Bascule gets for itself, or for a user, without asking anybody.

Kept in memory alone, since there is nothing to lose: a new one can always be had. Each
process has its own. A token is good as long as the directory's generation, which every
revocation raises, is the one under which it was asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

from bascule.clock import Clock, monotonic
from bascule.oauthclient.tokens import Tokens

AHEAD_SECONDS = 60
"""Before its end a token is replaced, while it goes on being used."""
SPARE_SECONDS = 5
"""A token that ends sooner is not sent any more."""
MOST_SECONDS = 600
"""Longest use of one token, so that what only the other side knows is asked for again."""
RETRY_SECONDS = 5.0
"""After an attempt that brought nothing, while the old token is good."""
CALM_SECONDS = 30.0
"""A token as young as this which an upstream refuses is not replaced again."""
MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Issued:
    """What a call is made with."""

    authorization: str = field(repr=False)
    """Value of `Authorization`."""
    version: int
    """Tells it from the one before."""


@dataclass(slots=True)
class _Kept:
    issued: Issued
    generation: int
    since: float
    renew: float
    """By the monotonic clock, as all three: from then on a new one is asked for."""
    until: float


class IssuedTokens:
    """Those for one upstream, by whom they are for; used on one event loop."""

    def __init__(
        self,
        ask: Callable[[Hashable], Awaitable[Tokens]],
        clock: Clock,
        generation: Callable[[], int],
    ) -> None:
        """`ask` gets a token; `generation`: of the directory, as this process knows it."""
        self._ask = ask
        self._clock = clock
        self._generation = generation
        self._kept: dict[Hashable, _Kept] = {}
        self._running: dict[Hashable, asyncio.Task[Issued]] = {}
        self._versions = 0

    def cached(self, whom: Hashable) -> Issued | None:
        """Give what there is at hand, when nothing has to be done about it."""
        kept = self._live(whom)
        return None if kept is None or monotonic() >= kept.renew else kept.issued

    async def get(self, whom: Hashable) -> Issued:
        """Give what a call is made with; one request for all who wait.

        Raises `OAuthClientError` when there is no good token, and none is to be had.
        """
        kept = self._live(whom)
        if kept is None:
            return await asyncio.shield(self._begin(whom))
        if monotonic() >= kept.renew:
            self._begin(whom)
        return kept.issued

    async def refused(self, whom: Hashable, version: Hashable) -> Issued | None:
        """Give another token after the upstream refused the one of that version.

        None when that one was new: it wants something else. Raises as `get` does.
        """
        kept = self._live(whom)
        if kept is None or kept.issued.version != version:
            return await self.get(whom)
        if monotonic() < kept.since + CALM_SECONDS:
            return None
        return await asyncio.shield(self._begin(whom))

    def _live(self, whom: Hashable) -> _Kept | None:
        kept = self._kept.get(whom)
        if kept is None or kept.generation != self._generation():
            return None
        return None if monotonic() >= kept.until else kept

    def _begin(self, whom: Hashable) -> asyncio.Task[Issued]:
        """Ask for all who want it meanwhile; it goes on when one of them goes away."""
        generation = self._generation()
        key = (whom, generation)
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._renew(whom, generation))
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))
        return task

    def _ended(self, key: Hashable, task: asyncio.Task[Issued]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # all who wanted to know it may have gone away

    async def _renew(self, whom: Hashable, generation: int) -> Issued:
        try:
            tokens = await self._ask(whom)
        except BaseException:
            if (kept := self._kept.get(whom)) is not None:
                kept.renew = monotonic() + RETRY_SECONDS
            raise
        self._versions += 1
        issued = Issued(tokens.authorization(), self._versions)
        began, lifetime = monotonic(), self._seconds(tokens)
        ahead = min(AHEAD_SECONDS, lifetime // 4)
        self._kept.pop(whom, None)
        self._kept[whom] = _Kept(
            issued,
            generation,
            since=began,
            renew=began + lifetime - max(ahead, SPARE_SECONDS),
            until=began + lifetime - SPARE_SECONDS,
        )
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return issued

    def _seconds(self, tokens: Tokens) -> int:
        if tokens.expires_at is None:
            return MOST_SECONDS
        return max(0, min(tokens.expires_at - self._clock(), MOST_SECONDS))
