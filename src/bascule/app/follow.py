"""Follows users, agents and revocations, so that what was revoked is known in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from bascule.app.place import Place
from bascule.clock import monotonic, system_clock
from bascule.gateway.gateway import Gateway
from bascule.identity.keys import KeySet
from bascule.storage import directory, key_files
from bascule.storage.directory import Directory
from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")

POLL_SECONDS = 0.25
"""How often users, agents and revocations are looked at; they are in force within 2 s."""

HEARD_SECONDS = 2 * POLL_SECONDS
"""After this long another process has looked too."""
PATIENCE_SECONDS = 2.0


class Follower:
    """Keeps a gateway's copy of the directory and of the signing keys current."""

    def __init__(self, gateway: Gateway, place: Place) -> None:
        self._gateway = gateway
        self._place = place
        self._store = place.open_state()
        self._identity = place.identity()
        # Not a thread that pages wait for too: many of them would keep news from coming.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._problem = ""
        self._adopted = monotonic() - HEARD_SECONDS
        self._news = asyncio.Event()

    async def follow(self) -> None:
        """Look once; what goes wrong is told once, and ends in refusals, not in here."""
        try:
            await self._refresh()
            problem = ""
        except Exception as exc:  # noqa: BLE001 - whatever it is must not end the watch
            problem = str(exc) or type(exc).__name__
        if problem not in {"", self._problem}:
            log.error("state, nobody is served until it is well: %s", problem)
        self._problem = problem
        self._gateway.end_invalid()

    async def _refresh(self) -> None:
        callers, loop = self._gateway.callers, asyncio.get_running_loop()
        current = await loop.run_in_executor(
            self._thread, self._store.read, directory.generation
        )
        if self._place.identity() != self._identity:
            raise StateUnavailableError("the database was replaced: restart `bascule up`")
        if current < callers.generation:
            raise StateUnavailableError("the database is older: restart `bascule up`")
        if current == callers.generation:
            callers.confirm()
            return
        keys, fresh = await loop.run_in_executor(self._thread, self._read)
        callers.trust(keys)
        callers.confirm(fresh)
        self._adopted = monotonic()
        self._news.set()
        self._news = asyncio.Event()

    def _read(self) -> tuple[KeySet, Directory]:
        """Read anew, and remember how far the directory is, for the next start."""
        self._place.note_change()
        keys = key_files.load(self._place.keys, now=system_clock())
        return keys, self._store.read(directory.load)

    async def heard(self, generation: int) -> None:
        """Wait until all processes can know of a change, two seconds at most.

        A token that is given out for somebody new must not reach a process that has not
        heard of them: clients give up when a fresh token is refused. Mostly nothing has
        changed lately, and nothing is waited for.
        """
        if self._gateway.callers.generation < generation:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while self._gateway.callers.generation < generation:
                        await self._news.wait()
        left = self._adopted + HEARD_SECONDS - monotonic()
        if left > 0:
            await asyncio.sleep(left)
