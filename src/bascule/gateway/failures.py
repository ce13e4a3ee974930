"""Failed authentications: counted for each source, recorded within a budget."""

from __future__ import annotations

from collections import Counter

from bascule.clock import monotonic

WINDOW_SECONDS = 60.0
MAX_SOURCES = 100_000


class AuthFailures:
    """Counts failures by address and minute.

    Only failures are ever refused for being too many: a valid token is served whatever
    others do from the same address.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: failures a minute from one address that are answered 401, not 429."""
        self._limit = limit
        self._since = monotonic()
        self._counts: Counter[str] = Counter()

    def too_many(self, peer: str) -> bool:
        """Count one failure; tell whether that address has had its share."""
        now = monotonic()
        if now - self._since > WINDOW_SECONDS or len(self._counts) > MAX_SOURCES:
            self._counts.clear()
            self._since = now
        self._counts[peer] += 1
        return self._counts[peer] > self._limit
