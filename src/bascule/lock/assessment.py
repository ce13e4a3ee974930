"""What is known against a connector's packages; what is not known is never fine."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bascule.clock import UnixTime
from bascule.lock.advisories import (
    Advisory,
    PackageVersion,
    concerns,
    fixed_in,
    package_version,
)
from bascule.lock.model import Entry, Finding

FRESH_DAYS = 7
"""A feed whose newest advisory is older has missed some: OSV has new ones every day."""

State = Literal["clean", "affected", "malware", "not_assessed"]
AdvisoriesAbout = Mapping[tuple[str, str], Collection[Advisory]]
"""By ecosystem and name, as `package_version` gives them."""


@dataclass(frozen=True, slots=True)
class Match:
    """One advisory, by all its names, about one package of the lock."""

    purl: str
    ids: tuple[str, ...]
    summary: str
    severity: str
    fixed_in: tuple[str, ...]
    malware: bool
    undecided: bool
    """It may be about this version: nobody can tell."""
    accepted: Finding | None = None
    """Somebody looked at it, and the lock says what came of it."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is known against one connector."""

    state: State
    matches: tuple[Match, ...] = ()
    not_assessed: tuple[str, ...] = ()
    """Why nothing, or not all, could be known: one sentence each."""


def packages_of(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Give ecosystem and name of all packages that there may be advisories about."""
    found = (package_version(it.purl) for entry in entries for it in entry.packages)
    return {(it.ecosystem, it.name) for it in found if it is not None}


def assess(
    entry: Entry,
    about: AdvisoriesAbout,
    newest: Mapping[str, str],
    *,
    now: UnixTime,
) -> Assessment:
    """Hold an entry against all advisories that are known.

    `newest`: when the latest advisory of each imported feed was changed (RFC 3339), by
    ecosystem. `clean` is said only when each package could be looked up in a fresh feed.
    """
    missing = list(_without_feed(entry, newest, now))
    matches: list[Match] = []
    for package in entry.packages:
        found = package_version(package.purl)
        if found is None:
            missing.append(f"no feed is known for `{package.purl}`")
            continue
        advisories = about.get((found.ecosystem, found.name), ())
        matches += _matches(package.purl, found, advisories, entry, now)
    if not entry.packages:
        missing.append("its packages are not known: nothing could be looked up")
    return Assessment(_state(matches, missing), tuple(matches), tuple(missing))


def _state(matches: list[Match], missing: list[str]) -> State:
    counting = [it for it in matches if it.accepted is None or it.malware]
    if any(it.malware for it in counting):
        return "malware"
    if any(not it.undecided for it in counting):
        return "affected"
    return "not_assessed" if missing or counting else "clean"


def _without_feed(entry: Entry, newest: Mapping[str, str], now: UnixTime) -> Iterable[str]:
    ecosystems = {
        found.ecosystem for it in entry.packages if (found := package_version(it.purl))
    }
    for ecosystem in sorted(ecosystems):
        if ecosystem not in newest:
            yield f"no advisories for {ecosystem}: `bascule import osv FILE.zip`"
        elif (days := _age_days(newest[ecosystem], now)) > FRESH_DAYS:
            yield f"the advisories for {ecosystem} are {days} days old: import newer ones"


def _age_days(modified: str, now: UnixTime) -> int:
    try:
        then = datetime.fromisoformat(modified)
    except ValueError:
        return 1 << 16  # a feed that does not say how old it is counts as old
    aware = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0, int(now - aware.timestamp()) // 86_400)


def _matches(
    purl: str,
    package: PackageVersion,
    advisories: Collection[Advisory],
    entry: Entry,
    now: UnixTime,
) -> list[Match]:
    """Give what concerns a package; advisories that are aliases of each other are one."""
    groups: list[list[tuple[Advisory, bool]]] = []
    for advisory in sorted(advisories, key=lambda it: it.id):
        answer = concerns(advisory, package)
        if answer == "not_affected":
            continue
        same = [it for it in groups if any(_are_one(advisory, other) for other, _ in it)]
        joined = [(advisory, answer == "undecided"), *(one for it in same for one in it)]
        groups = [*(it for it in groups if it not in same), joined]
    return [_match(purl, package, group, entry, now) for group in groups]


def _are_one(first: Advisory, second: Advisory) -> bool:
    return not {first.id, *first.aliases}.isdisjoint({second.id, *second.aliases})


def _match(
    purl: str,
    package: PackageVersion,
    group: list[tuple[Advisory, bool]],
    entry: Entry,
    now: UnixTime,
) -> Match:
    advisories = [advisory for advisory, _ in group]
    ids = sorted({name for it in advisories for name in (it.id, *it.aliases)})
    fixed = [version for it in advisories for version in fixed_in(it, package)]
    return Match(
        purl=purl,
        ids=tuple(ids),
        summary=next((it.summary for it in advisories if it.summary), ""),
        severity=next(
            (it.database_specific.severity or "" for it in advisories), ""
        ).lower(),
        fixed_in=tuple(dict.fromkeys(fixed)),
        malware=any(it.is_malware for it in advisories),
        undecided=all(undecided for _, undecided in group),
        accepted=_accepted(ids, entry, now),
    )


def _accepted(ids: list[str], entry: Entry, now: UnixTime) -> Finding | None:
    """Give the finding that takes an advisory out of the count, while it lasts."""
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    for finding in entry.findings:
        settled = finding.status in {"not_affected", "fixed"}
        if settled and finding.id in ids and (not finding.until or finding.until >= today):
            return finding
    return None
