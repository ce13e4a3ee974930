"""Follows users, agents and revocations, so that what was revoked is known in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from bascule.app import state
from bascule.clock import monotonic, system_clock
from bascule.gateway.gateway import Gateway
from bascule.storage import directory, key_files
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

POLL_SECONDS = 0.25
"""How often users, agents and revocations are looked at; they are in force within 2 s."""

HEARD_SECONDS = 2 * POLL_SECONDS
"""After this long another process has looked too."""
PATIENCE_SECONDS = 2.0


class Follower:
    """Keeps a gateway's copy of the directory and of the signing keys current."""

    def __init__(self, gateway: Gateway, store: Store, data_dir: Path) -> None:
        self._gateway = gateway
        self._store = store
        self._data_dir = data_dir
        self._file_of_state = state.file_of_state(data_dir)
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
        self._gateway.end_revoked()

    async def _refresh(self) -> None:
        callers = self._gateway.callers
        current = await asyncio.to_thread(self._store.read, directory.generation)
        if state.file_of_state(self._data_dir) != self._file_of_state:
            raise StateUnavailableError("the database was replaced: restart `bascule up`")
        if current < callers.generation:
            raise StateUnavailableError("the database is older: restart `bascule up`")
        if current == callers.generation:
            callers.confirm()
            return
        fresh = await asyncio.to_thread(self._store.read, directory.load)
        callers.trust(key_files.load(self._data_dir / "keys", now=system_clock()))
        callers.confirm(fresh)
        self._adopted = monotonic()
        self._news.set()
        self._news = asyncio.Event()

    async def heard(self, generation: int) -> None:
        """Wait until all processes can know of a change, two seconds at most.

        A token that is given out for somebody new must not reach a process that has not
        heard of them: clients give up when a fresh token is refused. Mostly nothing has
        changed lately, and nothing is waited for.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._gateway.callers.generation < generation:
                    await self._news.wait()
        await asyncio.sleep(max(0.0, self._adopted + HEARD_SECONDS - monotonic()))
