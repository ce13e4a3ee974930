"""How long to wait before a server that fails is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 60.0
HEALTHY_SECONDS = 60.0
"""A process that has lived this long is a good one: its end counts as the first."""


class Backoff:
    """Exponential: 0.1 s, 0.2 s, 0.4 s … 60 s; times are those of a monotonic clock."""

    __slots__ = ("_failures", "_until")

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def failed(self, *, started: float, now: float) -> None:
        """Note that a process has failed that was started then."""
        if now - started >= HEALTHY_SECONDS:
            self._failures = 0
        wait = min(FIRST_SECONDS * 2.0**self._failures, LONGEST_SECONDS)
        self._failures = min(self._failures + 1, 16)
        self._until = now + wait

    def left(self, now: float) -> float:
        """Give the seconds until it may be started; not above 0 when it may be now."""
        return self._until - now
