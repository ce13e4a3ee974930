"""How fast a scan may go: so many connections a second, evenly, and no bursts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bascule.clock import monotonic


class Pace:
    """Gives turns, one after the other, at most so many a second."""

    def __init__(self, rate: float, monotonic: Callable[[], float] = monotonic) -> None:
        """`rate`: turns a second, above 0."""
        self._pause = 1 / rate
        self._monotonic = monotonic
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn; who asks first has it first."""
        now = self._monotonic()
        mine = max(now, self._next)
        self._next = mine + self._pause
        if mine > now:
            await asyncio.sleep(mine - now)
