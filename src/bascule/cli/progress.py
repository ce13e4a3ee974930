"""How far something is that takes longer than a moment: one line, on a terminal only."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType

_PAUSE_SECONDS = 0.2


class Line:
    """A line on standard error that is written over, and gone at the end."""

    def __init__(self) -> None:
        self._shown = False
        self._next = monotonic() + _PAUSE_SECONDS

    def __enter__(self) -> Line:
        """Begin; nothing is shown in the first moment."""
        return self

    def say(self, text: str) -> None:
        """Show it, unless something was shown just now."""
        now = monotonic()
        if now >= self._next and sys.stderr.isatty():
            self._next = now + _PAUSE_SECONDS
            self._shown = True
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
