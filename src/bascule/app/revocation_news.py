"""What has been revoked or disabled since the last look."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from bascule.errors import BasculeError
from bascule.identity.revocation import Kind
from bascule.storage import directory, revocations
from bascule.storage.store import Store

log = logging.getLogger("bascule")


class RevocationNews:
    """Compares the state with what it was; the first look finds nothing new."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Of its own, so that it does not wait for the pages of a flood.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="revocations")
        self._generation = -1
        self._entries: set[tuple[Kind, str, int]] = set()
        self._enabled: set[tuple[Kind, str]] = set()

    async def fresh(self) -> list[tuple[Kind, str]]:
        """Give kind and key of each; a state that cannot be read is told by who serves."""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._look)
        except BasculeError as exc:
            log.debug("revocations: %s", exc)
            return []

    def _look(self) -> list[tuple[Kind, str]]:
        generation = self._store.read(directory.generation)
        if generation == self._generation:
            return []
        first = self._generation < 0
        entries = {
            (it.kind, it.key, it.up_to) for it in self._store.read(revocations.every)
        }
        found = self._store.read(directory.load)
        enabled: set[tuple[Kind, str]] = {("user", name) for name in found.groups}
        enabled |= {("agent", name) for name in found.verified_agents}
        news = [(kind, key) for kind, key, _ in entries - self._entries]
        news += self._enabled - enabled
        self._generation, self._entries, self._enabled = generation, entries, enabled
        return [] if first else news
