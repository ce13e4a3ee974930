"""Which packages of an entry somebody has read, and who; the rest is unreviewed.

More audits never make less reviewed, and what does not count (expired, of other bytes,
without a beginning) makes nothing reviewed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from msgspec import Struct

from bascule.clock import UnixTime
from bascule.lock.audits import Audits, Step
from bascule.lock.audits_file import (
    DIGESTS,
    AuditsError,
    Bytes,
    TrustedPublisher,
    bytes_of,
)
from bascule.lock.cooldown import unix_time
from bascule.lock.model import Entry, Package, Provenance
from bascule.lock.purl import version_of
from bascule.lock.pypi_provenance import same_identity
from bascule.lock.rules import matches

State = Literal["audited", "trusted", "exempt", "unreviewed"]


@dataclass(frozen=True, slots=True)
class Review:
    """What is known of one package, as to one criterion."""

    purl: str
    state: State
    by: tuple[str, ...] = ()
    """Who audited it: first the whole of some version, then each change up to this one. Or
    the repository of a trusted publisher, or why it is exempt."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What is known of all packages of an entry."""

    packages: tuple[Package, ...]
    by_criterion: Mapping[str, tuple[Review, ...]] = field(default_factory=dict)

    def unreviewed(self, criterion: str) -> tuple[str, ...]:
        """Give the purls that nobody has read; all for a criterion that nobody defines."""
        found = self.by_criterion.get(criterion)
        if found is None:
            return tuple(it.purl for it in self.packages)
        return tuple(it.purl for it in found if it.state == "unreviewed")


class ReviewCount(Struct, frozen=True):
    """How many packages were reviewed, as to one criterion of `audits.toml`."""

    criterion: str | None
    """Null when `audits.toml` defines none: nobody has read anything."""
    packages: int
    audited: int
    trusted: int
    exempt: int
    unreviewed: list[str]
    """purls."""
    changed: list[str]
    """Those among them that the entry before did not have."""


def assess_audits(entry: Entry, audits: Audits, *, now: UnixTime) -> Reviewed:
    """Say of each package who has read it, for each criterion that is defined."""
    packages = entry.packages
    return Reviewed(
        packages,
        {
            criterion: tuple(_review(it, criterion, audits, now) for it in packages)
            for criterion in audits.criteria
        },
    )


def count_reviews(reviewed: Reviewed, before: Collection[Package]) -> list[ReviewCount]:
    """Count, criterion by criterion; nothing for an entry without packages.

    `before`: packages of the entry to compare with.
    """
    if not reviewed.packages:
        return []
    known = {(it.purl, it.artifact) for it in before}
    fresh = {it.purl for it in reviewed.packages if (it.purl, it.artifact) not in known}
    criteria: list[str | None] = [*reviewed.by_criterion]
    return [_count(reviewed, it, fresh) for it in criteria or [None]]


def _count(reviewed: Reviewed, criterion: str | None, fresh: set[str]) -> ReviewCount:
    named = criterion or ""
    states = [it.state for it in reviewed.by_criterion.get(named, ())]
    unreviewed = list(reviewed.unreviewed(named))
    return ReviewCount(
        criterion,
        len(reviewed.packages),
        states.count("audited"),
        states.count("trusted"),
        states.count("exempt"),
        unreviewed,
        [it for it in unreviewed if it in fresh],
    )


def _review(package: Package, criterion: str, audits: Audits, now: UnixTime) -> Review:
    """Look for an audit first, then for a publisher, last for an exemption."""
    file = _file(package)
    chain = () if file is None else _chain(file, criterion, audits.steps)
    if chain:
        return Review(package.purl, "audited", chain)
    for trusted in audits.trusted:
        met = any(criterion in audits.implied[it] for it in trusted.criteria)
        if met and _is_published_by(package, trusted, now):
            return Review(package.purl, "trusted", (trusted.repository,))
    name = _named(package)
    for exempt in () if name is None else audits.exemptions.get(name, ()):
        met = any(criterion in audits.implied[it] for it in exempt.criteria)
        if met and now < _midnight(exempt.until):
            return Review(package.purl, "exempt", (exempt.reason,))
    return Review(package.purl, "unreviewed")


def _chain(
    target: Bytes, criterion: str, steps: Mapping[Bytes, tuple[Step, ...]]
) -> tuple[str, ...]:
    """Follow deltas back to an audit of the whole, on the shortest way; empty without one.

    Each version is looked at once: circles end, and a large file costs its length.
    """
    behind: dict[Bytes, Step | None] = {target: None}
    waiting = deque([target])
    while waiting:
        at = waiting.popleft()
        for step in steps.get(at, ()):
            if criterion not in step.criteria:
                continue
            if step.start is None:
                return (step.who, *_way(behind, at))
            if step.start not in behind:
                behind[step.start] = step
                waiting.append(step.start)
    return ()


def _way(behind: Mapping[Bytes, Step | None], at: Bytes) -> Iterator[str]:
    """Say who looked at each change from there on."""
    while (step := behind[at]) is not None:
        yield step.who
        at = step.to


def _is_published_by(package: Package, trusted: TrustedPublisher, now: UnixTime) -> bool:
    found, name = package.provenance, _named(package)
    published = unix_time(package.published_at)
    wanted = Provenance("verified", trusted.issuer, trusted.repository, trusted.workflow)
    return (
        found.status == "verified"
        and same_identity(found, wanted)
        and name is not None
        and any(_fits(it, name) for it in trusted.packages)
        and published is not None
        and _midnight(trusted.start) <= published < _midnight(trusted.end)
        and now < _midnight(trusted.end)
    )


def _fits(pattern: str, package: Bytes) -> bool:
    wanted = bytes_of(pattern, "", "")
    return wanted.ecosystem == package.ecosystem and matches([wanted.name], package.name)


def _file(package: Package) -> Bytes | None:
    """Name what is installed of a package, by the digest that its installer checks."""
    named = _named(package)
    digest = "" if named is None else getattr(package.artifact, DIGESTS[named.ecosystem])
    return named._replace(digest=digest) if named is not None and digest else None


def _named(package: Package) -> Bytes | None:
    """Name a package by its version; None for one that is of no registry."""
    try:
        return bytes_of(package.purl.rpartition("@")[0], version_of(package.purl), "")
    except AuditsError:
        return None


def _midnight(day: date) -> int:
    """Give the Unix time at which a day begins, in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
