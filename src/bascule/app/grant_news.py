"""Grants of access, followed while a server runs."""

from __future__ import annotations

from functools import partial

from bascule.app.own_thread import OwnThread
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.decision.snapshot import Grants
from bascule.storage import access_grants


class GrantNews:
    """Looks whether other grants are in force than were known."""

    def __init__(self, place: Place) -> None:
        self._store = place.open_state()
        self._thread = OwnThread("grants")
        self._generation = -1

    def look_again(self) -> None:
        """Read them at the next look, whatever has changed."""
        self._generation = -1

    async def fresh(self, known: Grants, now: UnixTime) -> Grants | None:
        """Give the grants that are in force now; None when they are the known ones."""
        return await self._thread.look(partial(self._look, known, now))

    def _look(self, known: Grants, now: UnixTime) -> Grants | None:
        generation = self._store.read(access_grants.generation)
        over = any(granted.expires_at <= now for granted in known)
        if generation == self._generation and not over:
            return None
        fresh = self._store.read(partial(access_grants.in_force, now=now))
        self._generation = generation
        return None if fresh == known else fresh
