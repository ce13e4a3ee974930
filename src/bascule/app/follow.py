"""Follows users, agents and revocations, so that what was revoked is known in time."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from bascule.app import state
from bascule.clock import system_clock
from bascule.gateway.gateway import Gateway
from bascule.storage import directory, key_files
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

POLL_SECONDS = 0.25
"""How often users, agents and revocations are looked at; they are in force within 2 s."""


class Follower:
    """Keeps a gateway's copy of the directory and of the signing keys current."""

    def __init__(self, gateway: Gateway, store: Store, data_dir: Path) -> None:
        self._gateway = gateway
        self._store = store
        self._data_dir = data_dir
        self._file_of_state = state.file_of_state(data_dir)
        self._problem = ""

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
