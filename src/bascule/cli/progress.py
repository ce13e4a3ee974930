"""How far something is that takes longer than a moment: one line, on a terminal only."""

from __future__ import annotations

import shutil
import sys
from time import monotonic
from types import TracebackType

from bascule.cli.output import cell

_PAUSE_SECONDS = 0.2


class Line:
    """A line on standard error that is written over, and gone at the end."""

    def __init__(self, *, pause: float = _PAUSE_SECONDS) -> None:
        """`pause`: seconds before the first time, and between any two."""
        self._shown = False
        self._pause = pause
        self._next = monotonic() + pause

    def __enter__(self) -> Line:
        """Begin; nothing is shown in the first moment."""
        return self

    def say(self, text: str) -> None:
        """Show it on one line, unless something was shown just now.

        It may hold names that others chose: what a terminal would obey is written out.
        """
        now = monotonic()
        if now >= self._next and sys.stderr.isatty():
            self._next = now + self._pause
            self._shown = True
            shown = cell(text)[: shutil.get_terminal_size().columns - 1]
            print(f"\r\x1b[K{shown}", end="", file=sys.stderr, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
