"""Standard error of a stdio server on its way into the operator's log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from bascule.clock import monotonic
from bascule.launch.lines import CutLineReader, shown

log = logging.getLogger("bascule.stdio")

MAX_LOGGED_LINE_BYTES = 64 << 10
LOGGED_LINES = 200
"""Lines of standard error that are logged within ten seconds; the others are counted."""
LOGGED_SECONDS = 10.0
LAST_LINES = 5
"""Lines that are kept for whoever asks why a server ended."""


class ErrorLog(asyncio.Protocol):
    """A command's standard error on its way into the operator's log."""

    def __init__(
        self,
        name: str,
        secrets: frozenset[str],
        closed: Callable[[], None],
        write: Callable[[str], None] = lambda text: log.info("%s", text),
    ) -> None:
        self._name = name
        # The longest first: one may be a part of another.
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._lines = CutLineReader(MAX_LOGGED_LINE_BYTES)
        self._closed = closed
        self._write = write
        self._since = monotonic()
        self._logged = self._left_out = 0
        self._last: deque[bytes] = deque(maxlen=LAST_LINES)

    def data_received(self, data: bytes) -> None:
        """Log the lines that are complete."""
        for line in self._lines.feed(data):
            self._log(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log what is left."""
        rest = self._lines.rest()
        if rest:
            self._log(rest)
        self._tell_left_out()
        self._closed()

    def last_words(self) -> list[str]:
        """Give the last lines as they are logged, the oldest first."""
        return [shown(line, self._secrets) for line in self._last]

    def _log(self, line: bytes) -> None:
        self._last.append(line)
        now = monotonic()
        if now - self._since > LOGGED_SECONDS:
            self._tell_left_out()
            self._since, self._logged = now, 0
        if self._logged >= LOGGED_LINES:
            self._left_out += 1
            return
        self._logged += 1
        self._write(f"[{self._name}] {shown(line, self._secrets)}")

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._write(f"[{self._name}] {self._left_out} more lines are not shown")
            self._left_out = 0
