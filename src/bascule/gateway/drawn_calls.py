"""Calls of rates that this process has drawn from the state, and gives out."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from bascule.clock import UnixTime
from bascule.decision.rates import Share
from bascule.gateway.callers import StateUnconfirmedError
from bascule.storage import drawn_calls
from bascule.storage.store import StateUnavailableError, Store

MAX_SHARES = 8192


class Stock(NamedTuple):
    """What this process has of a share."""

    left: int = 0
    used_up: bool = False
    """The state gives nothing more."""


class DrawnCalls:
    """What is left of what was drawn. No call is given out twice, here or elsewhere."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # One thread: who waits for a draw finds what the draw before has brought.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rates")
        self._lock = threading.Lock()
        self._stock: OrderedDict[Share, Stock] = OrderedDict()

    async def take(self, shares: Iterable[Share], now: UnixTime) -> dict[str, UnixTime]:
        """Take one call of each share; of none when one is used up.

        Gives the rates that are, each with the time at which it begins anew. Raises
        `StateUnconfirmedError`.
        """
        loop = asyncio.get_running_loop()
        taken: list[Share] = []
        spent: dict[str, UnixTime] = {}
        for share in shares:
            got = self._take(share)
            if got is None:
                try:
                    got = await loop.run_in_executor(self._thread, self._draw, share, now)
                except StateUnavailableError as exc:
                    raise StateUnconfirmedError("calls cannot be counted now") from exc
            if got:
                taken.append(share)
            else:
                spent[share.rate] = share.ends_at
        if spent:
            for share in taken:
                self._add(share, 1)
        return spent

    def _take(self, share: Share) -> bool | None:
        """Tell whether there is one; None when only the state knows."""
        with self._lock:
            left, used_up = self._stock.get(share, Stock())
            if left:
                self._stock[share] = Stock(left - 1, used_up)
                return True
            return False if used_up else None

    def _draw(self, share: Share, now: UnixTime) -> bool:
        got = self._take(share)  # another may have drawn meanwhile
        if got is not None:
            return got
        portion = self._store.run(
            partial(
                drawn_calls.draw,
                rate=share.rate,
                holder_hash=share.holder_hash,
                ends_at=share.ends_at,
                calls=share.calls,
                now=now,
            )
        )
        self._add(share, max(portion - 1, 0), used_up=not portion)
        return portion > 0

    def _add(self, share: Share, calls: int, *, used_up: bool = False) -> None:
        with self._lock:
            before = self._stock.pop(share, Stock())
            self._stock[share] = Stock(before.left + calls, before.used_up or used_up)
            if len(self._stock) > MAX_SHARES:
                self._stock.popitem(last=False)
