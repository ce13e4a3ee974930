"""What a run found, in the shape that `bascule bench --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from bascule.bench.decisions import Decisions
from bascule.bench.load import Load
from bascule.bench.supply_chain import SupplyChain


class Figures(Struct):
    """One target under one load; times in microseconds."""

    cpu_us: float
    """CPU time for one request, of all the target's processes."""
    rps: float
    p50_us: float
    p99_us: float


class Target(Figures, kw_only=True):
    """One target at 32 connections, and at one."""

    one_connection: Figures


class Cold(Struct):
    """Bascule at 32 connections when every request brings something new."""

    cpu_us: float
    p50_us: float
    p99_us: float
    requests: int


class Lists(Struct):
    """Bascule when it is asked for a list of 500 tools; the caller may use half."""

    first_ms: float
    """The longest that one of five users waited for a first list: each tool is decided."""
    cpu_us: float
    """CPU time for one later list, the passing of its 100 kilobytes included."""
    p50_us: float
    p99_us: float


class NotAssessed(Struct):
    """What was left out."""

    name: str
    reason: str


class Report(Struct, kw_only=True):
    """`bench`: what a call costs, beside other proxies in the same run."""

    bascule: Target
    peers: dict[str, Target]
    ratio: dict[str, float]
    """CPU time of Bascule over the peer's, at 32 connections."""
    direct: Target
    """The upstream without anything between; its `cpu_us` is the upstream's own."""
    added_p50_us: float
    """What Bascule adds to the median at one connection."""
    fsync_us: float
    """Median of a small append with fdatasync in the data directory, before the load."""
    pss_mb: float
    """Memory of the gateway after the run, 10^6 bytes."""
    cold: Cold | None
    """With another token each time; None when it was not asked for, as the next two."""
    cold_decision: Cold | None
    """With the name of another tool each time, so that Cedar is asked."""
    lists: Lists | None
    supply_chain: SupplyChain | None
    """What locks and approvals cost; None when it was not asked for, as the next."""
    decisions: Decisions | None
    """What decisions cost by themselves."""
    pinned: bool
    """The target had a core, and load and upstream another."""
    rounds: int
    seconds: int
    not_assessed: list[NotAssessed]


class Sample(Struct, frozen=True):
    """One measurement."""

    load: Load
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """CPU time for one request."""
        return self.cpu_seconds / self.load.requests * 1e6


def figures(samples: Sequence[Sample]) -> Figures:
    """Give the median of several rounds, each figure for itself."""
    return Figures(
        cpu_us=_median([it.cpu_us for it in samples]),
        rps=_median([it.load.rps for it in samples]),
        p50_us=_median([it.load.p50_us for it in samples]),
        p99_us=_median([it.load.p99_us for it in samples]),
    )


def target(many: Sequence[Sample], one: Sequence[Sample]) -> Target:
    """Put both loads of a target together."""
    found = figures(many)
    return Target(
        cpu_us=found.cpu_us,
        rps=found.rps,
        p50_us=found.p50_us,
        p99_us=found.p99_us,
        one_connection=figures(one),
    )


def cold(sample: Sample) -> Cold:
    """Give the figures of a cold load."""
    load = sample.load
    return Cold(round(sample.cpu_us, 1), load.p50_us, load.p99_us, load.requests)


def lists(first_ms: Sequence[float], later: Sample) -> Lists:
    """Put the first lists and the load of later ones together."""
    load = later.load
    return Lists(round(max(first_ms), 1), round(later.cpu_us, 1), load.p50_us, load.p99_us)


def _median(values: Sequence[float]) -> float:
    return round(median(values), 1)
