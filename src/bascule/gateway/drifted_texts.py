"""What texts say that nobody approved: read beside the requests, for who watches the log.

The gate keeps them from clients whatever they say. This tells a harmless change from an
attack before anybody has compared the two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from bascule.scan.text.served import Judged, Kind, Served, judged, of_identity

log = logging.getLogger("bascule")

MAX_BYTES = 64 << 10
"""Of one definition that is read."""
MAX_CHARACTERS = 16 << 10
"""Of the texts in it: less than two tenths of a second's work."""
MAX_WAITING = 16
"""Texts that wait to be read; what comes then is in the log as a deviation alone."""

Tell = Callable[[Judged], None]


class DriftedTexts:
    """Reads one text after the other in a thread of its own; nobody waits for it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "drifted-texts")
        self._waiting: set[asyncio.Future[Judged | None]] = set()

    def read(
        self, kind: Kind, name: str, raw: bytes, own: Collection[str], tell: Tell
    ) -> None:
        """Have a text read; `tell` hears, on this event loop, of one that is suspicious.

        `raw` is JSON: a definition, instructions as a string, or `serverInfo`. `own` are
        the names of the connector's approved tools.
        """
        if len(self._waiting) >= MAX_WAITING:
            return
        work = partial(_read, kind, name, raw, frozenset(own))
        waiting = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._waiting.add(waiting)
        waiting.add_done_callback(partial(self._done, tell))

    def _done(self, tell: Tell, waiting: asyncio.Future[Judged | None]) -> None:
        self._waiting.discard(waiting)
        if waiting.cancelled():
            return
        if (problem := waiting.exception()) is not None:
            log.error("a definition could not be read: %s", type(problem).__name__)
        elif (found := waiting.result()) is not None:
            tell(found)


def _read(kind: Kind, name: str, raw: bytes, own: frozenset[str]) -> Judged | None:
    if len(raw) > MAX_BYTES:
        unread = Served(kind, name, {})
        return Judged(unread.id, unread.label, None)
    try:
        served = tuple(_served(kind, name, msgspec.json.decode(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the gate has no digest of it, and says so
    return next(iter(judged(served, own=own, budget=MAX_CHARACTERS)), None)


def _served(kind: Kind, name: str, value: Any) -> tuple[Served, ...]:
    if kind == "server":
        return tuple(of_identity(value))
    if kind == "instructions":
        value = {"instructions": value}
    return (Served(kind, name, value),) if isinstance(value, dict) else ()
