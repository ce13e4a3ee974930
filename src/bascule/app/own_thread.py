"""A thread for one kind of look at the state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")
T = TypeVar("T")


class OwnThread:
    """Runs looks one after another, so that none waits for the pages of a flood."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def look(self, work: Callable[[], T]) -> T | None:
        """Do it there; None where the state cannot be read.

        That is told by who serves, and serves nobody then.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except StateUnavailableError as exc:
            log.debug("%s: %s", self._name, exc)
            return None
