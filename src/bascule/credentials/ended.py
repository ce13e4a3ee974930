"""Tokens that have ended here, revoked where they came from (RFC 7009), then forgotten.

They count nowhere here any more; this is for the other side. Of several processes one does
it for each.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Generic, Protocol, TypeVar

from bascule.clock import Clock, UnixTime
from bascule.errors import BasculeError
from bascule.storage import retries
from bascule.storage.store import StateUnavailableError, Store, Transaction

log = logging.getLogger("bascule")


class Ended(Protocol):
    """A row of what has ended."""

    @property
    def tries(self) -> int:
        """How often it was tried to revoke it there, before this time."""
        ...


T = TypeVar("T", bound=Ended)


class Kind(Protocol[T]):
    """What ends: how its rows are found, and how its tokens are revoked."""

    def is_due(self, conn: Transaction, *, now: UnixTime) -> bool:
        """Tell whether `take` would give something: one cheap query."""
        ...

    def take(self, conn: Transaction, *, now: UnixTime) -> list[T]:
        """Take what is to be revoked now; nobody else gets it until it is due again."""
        ...

    async def revoke(self, ended: T) -> None:
        """Revoke its tokens. Raises `BasculeError`, after which it is tried again."""
        ...

    def forget(self, conn: Transaction, ended: T) -> None:
        """Remove it and its tokens for good."""
        ...

    def named(self, ended: T) -> str:
        """Say whose tokens they are, for the log: a text of the configuration."""
        ...


class EndedTokens(Generic[T]):
    """Those of one kind."""

    def __init__(self, store: Store, kind: Kind[T], clock: Clock) -> None:
        self._store = store
        self._kind = kind
        self._clock = clock

    async def look(self) -> None:
        """Look once; what cannot be done now is done later, a few times."""
        kind, now = self._kind, self._clock()
        try:
            if not await self._store.look(partial(kind.is_due, now=now)):
                return
            for ended in await self._store.transact(partial(kind.take, now=now)):
                if await self._is_done(ended):
                    await self._store.transact(partial(kind.forget, ended=ended))
        except StateUnavailableError as exc:
            log.warning("tokens that have ended: %s", exc)

    async def _is_done(self, ended: T) -> bool:
        """Try to revoke; tell whether nothing is left to try."""
        try:
            await self._kind.revoke(ended)
        except StateUnavailableError:
            raise
        except BasculeError as exc:
            name = self._kind.named(ended)
            log.warning("%s: tokens that ended were not revoked: %s", name, exc)
            return retries.is_last(ended.tries)
        return True
