"""What identities have touched, as all workers and replicas know it.

The state is asked anew before each call that a flow may close, and has a touch on disk
before the call that touches goes upstream. So what a call brings is never there before
its touch is, wherever the next call is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bascule.clock import UnixTime
from bascule.decision.facts import Principal
from bascule.gateway.callers import StateUnconfirmedError
from bascule.storage import touches
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

SLACK_SECONDS = 60
"""A touch counts so much longer than it must: the next ones need not be written."""
MAX_IDENTITIES = 8192

Identity = tuple[str | None, str]


class Touches:
    """Reads and writes them; used on the event loop of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Of its own, so that no call waits for the pages of a flood.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="touches")
        self._known: OrderedDict[Identity, dict[str, UnixTime]] = OrderedDict()
        """Until when labels count at least: nothing ends a window earlier."""

    async def of(
        self, principal: Principal, labels: Collection[str], now: UnixTime
    ) -> frozenset[str]:
        """Give those of some labels that an identity has touched, and that still count.

        Raises `StateUnconfirmedError`.
        """
        known = self._known.get(_identity(principal), {})
        if all(known.get(label, 0) > now for label in labels):
            return frozenset(labels)
        work = partial(
            touches.open_labels, user=principal.user, agent=principal.agent, now=now
        )
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self._store.read, work)
        except StateUnavailableError as exc:
            raise StateUnconfirmedError("what was used before is not known") from exc
        self._keep(principal, found)
        return frozenset(found).intersection(labels)

    async def touch(
        self, principal: Principal, seconds: Mapping[str, int], now: UnixTime
    ) -> None:
        """Let labels count for so many seconds at least; on disk on return.

        Raises `StateUnconfirmedError`.
        """
        if self._counts(principal, seconds, now):
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._write, principal, seconds, now)
        except StateUnavailableError as exc:
            raise StateUnconfirmedError("what is used cannot be noted") from exc
        self._keep(principal, _ends(seconds, now))

    def touch_again(
        self, principal: Principal, seconds: Mapping[str, int], now: UnixTime
    ) -> None:
        """Let labels count from the end of a call that they count from the begin of.

        Nobody waits for it: what was written at its begin lasts for now.
        """
        if not self._counts(principal, seconds, now):
            self._threads.submit(self._try_to_write, principal, seconds, now)

    def _counts(
        self, principal: Principal, seconds: Mapping[str, int], now: UnixTime
    ) -> bool:
        known = self._known.get(_identity(principal), {})
        return all(known.get(label, 0) >= now + it for label, it in seconds.items())

    def _write(
        self, principal: Principal, seconds: Mapping[str, int], now: UnixTime
    ) -> None:
        self._store.run(
            partial(
                touches.touch,
                user=principal.user,
                agent=principal.agent,
                until=_ends(seconds, now),
                now=now,
            )
        )

    def _try_to_write(
        self, principal: Principal, seconds: Mapping[str, int], now: UnixTime
    ) -> None:
        try:
            self._write(principal, seconds, now)
        except StateUnavailableError as exc:
            log.error("a flow ends as counted from the begin of a call: %s", exc)

    def _keep(self, principal: Principal, ends: Mapping[str, UnixTime]) -> None:
        known = self._known.setdefault(_identity(principal), {})
        for label, end in ends.items():
            known[label] = max(end, known.get(label, end))
        self._known.move_to_end(_identity(principal))
        if len(self._known) > MAX_IDENTITIES:
            self._known.popitem(last=False)


def _identity(principal: Principal) -> Identity:
    return principal.user, principal.agent


def _ends(seconds: Mapping[str, int], now: UnixTime) -> dict[str, UnixTime]:
    return {label: UnixTime(now + it + SLACK_SECONDS) for label, it in seconds.items()}
