"""An event loop for work that must not hold up the one that serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop of its own, in a thread; cancelled with who waits for it.

    Raises what it raises.
    """
    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[T]] = []

    def run() -> T:
        try:
            tasks.append(loop.create_task(work()))
            return loop.run_until_complete(tasks[0])
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    running = asyncio.get_running_loop().run_in_executor(None, run)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        running.add_done_callback(_seen)
        with contextlib.suppress(RuntimeError):  # it has just ended
            loop.call_soon_threadsafe(cancel)
        raise


def _seen(ended: asyncio.Future[T]) -> None:
    """Take note of how it ended, so that nobody complains of what nobody waits for."""
    if not ended.cancelled():
        ended.exception()
