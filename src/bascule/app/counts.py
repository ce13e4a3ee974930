"""What is counted for `/metrics`: of one process, and of all together."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field
from msgspec.structs import replace

from bascule.gateway.gateway import Gateway


class Counts(Struct):
    """Counters of one process; names nobody and nothing."""

    decisions: dict[str, int] = field(default_factory=dict)
    """By `DECISION REASON`."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Forwarded requests by outcome."""
    shadowed: dict[str, int] = field(default_factory=dict)
    """By `DECISION DECISION`: in force, and by rights that are tried out."""
    authentication_failures: int = 0
    in_flight: int = 0
    """Requests that are being answered now."""
    workers: int = 0
    """Processes that serve now."""

    def without_what_is_now(self) -> Counts:
        """Give what stays of a process that has ended."""
        return replace(self, in_flight=0, workers=0)

    def plus(self, other: Counts) -> Counts:
        """Give the sum."""
        return Counts(
            _sum(self.decisions, other.decisions),
            _sum(self.outcomes, other.outcomes),
            _sum(self.shadowed, other.shadowed),
            self.authentication_failures + other.authentication_failures,
            self.in_flight + other.in_flight,
            self.workers + other.workers,
        )


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


def counts_of(gateway: Gateway) -> Counts:
    """Read the counters of this process."""
    journal = gateway.journal
    return Counts(
        {f"{decision} {why}": n for (decision, why), n in journal.decisions.items()},
        dict(journal.outcomes),
        {f"{live} {tried}": n for (live, tried), n in journal.shadowed.items()},
        journal.authentication_failures,
        len(gateway.work),
        1,
    )
