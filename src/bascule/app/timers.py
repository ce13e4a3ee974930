"""Work that is done again and again on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timer:
    """One piece of such work; it handles its own errors."""

    seconds: float
    """Pause between the end of one run and the beginning of the next."""
    work: Callable[[], Awaitable[None]]


async def run_timers(timers: Sequence[Timer]) -> None:
    """Run all until cancelled; a bug in one ends all, and is raised."""
    async with asyncio.TaskGroup() as group:
        for timer in timers:
            group.create_task(_repeat(timer))


async def _repeat(timer: Timer) -> None:
    while True:
        await asyncio.sleep(timer.seconds)
        await timer.work()
