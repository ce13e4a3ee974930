"""Failed authentications: counted for each source, recorded within a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from bascule.clock import monotonic

WINDOW_SECONDS = 60.0
MAX_SOURCES = 10_000
"""Sources told apart in a minute; beyond, all others count as one."""
MAX_RECORDS = 600
"""Failures of a minute that are recorded in full: more than that many bytes a stranger
cannot make us write."""
OTHERS = "others"


class AuthFailures:
    """Counts failures by address and minute.

    Only failures are ever refused for being too many: a valid token is served whatever
    others do from the same address.
    """

    def __init__(self, limit: int, *, now: Callable[[], float] = monotonic) -> None:
        """`limit`: failures a minute from one address that are answered 401, not 429."""
        self._limit = limit
        self._now = now
        self._since = now()
        self._counts: Counter[str] = Counter()
        self._recorded: set[str] = set()
        """Sources whose first failure was recorded in full."""

    def count(self, peer: str) -> tuple[bool, bool]:
        """Count one failure; tell whether to record it in full, and whether it is too many.

        The first of each source and minute is recorded in full, the rest only counted.
        """
        source = peer if len(self._counts) < MAX_SOURCES or peer in self._counts else OTHERS
        self._counts[source] += 1
        first = self._counts[source] == 1 and len(self._recorded) < MAX_RECORDS
        if first:
            self._recorded.add(source)
        return first, self._counts[source] > self._limit

    def unrecorded(self) -> dict[str, int] | None:
        """Give what was only counted, once the minute is over, and begin anew."""
        now = self._now()
        if now - self._since < WINDOW_SECONDS:
            return None
        counts, self._counts = self._counts, Counter()
        recorded, self._recorded = self._recorded, set()
        self._since = now
        rest = {source: count - (source in recorded) for source, count in counts.items()}
        return {source: count for source, count in rest.items() if count}
