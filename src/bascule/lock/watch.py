"""What has come up since a connector was approved: fine, found, or not assessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bascule.clock import UnixTime
from bascule.lock.approvals import Verdict
from bascule.lock.assessment import Assessment, Match
from bascule.lock.bridges import behind
from bascule.lock.model import Entry, Package, Provenance
from bascule.lock.pypi_provenance import same_identity

DAY_SECONDS = 86_400
WARN_DAYS = 14
"""Before an approval ends: time for a review."""

Subject = Literal["advisories", "approval", "versions", "provenance", "bridge"]
State = Literal["fine", "found", "not_assessed"]


@dataclass(frozen=True, slots=True)
class News:
    """The answer to one question about one connector."""

    connector: str
    subject: Subject
    state: State
    detail: str
    """A sentence: what was found and what to do, or why nothing could be known."""
    ids: tuple[str, ...] = ()
    """Advisories or packages that it is about."""
    stops: bool = False
    """The connector may not be served any longer."""


def of_bridge(name: str, entry: Entry) -> Iterator[News]:
    """Tell of a bridge: nobody looks at the server behind it."""
    if entry.kind == "bridge":
        urls = ", ".join(behind(entry.launch.command)) or "the server behind it"
        detail = f"stands in the path to {urls}, which is in no lock and was not looked at"
        yield News(name, "bridge", "not_assessed", detail, (entry.root,))


def of_advisories(name: str, assessment: Assessment) -> Iterator[News]:
    """Tell what is known against a connector's packages."""
    open_ones = [it for it in assessment.matches if it.accepted is None or it.malware]
    for match in open_ones:
        state: State = "not_assessed" if match.undecided else "found"
        yield News(name, "advisories", state, _told(match), match.ids, match.malware)
    for reason in assessment.not_assessed:
        yield News(name, "advisories", "not_assessed", reason)
    if not open_ones and not assessment.not_assessed:
        yield News(name, "advisories", "fine", "no advisory is about a locked version")


def _told(match: Match) -> str:
    what = "malware" if match.malware else match.severity or "advisory"
    fix = f"; fixed in {', '.join(match.fixed_in)}" if match.fixed_in else ""
    maybe = "may be about this version: " if match.undecided else ""
    return f"{match.purl}: {maybe}{what}: {match.summary or match.ids[0]}{fix}"


def of_approval(name: str, verdict: Verdict, *, now: UnixTime) -> News:
    """Tell whether an approval is in force, and for how long."""
    if verdict.state != "approved":
        return News(name, "approval", "found", verdict.reason)
    if verdict.expires is None:
        return News(name, "approval", "fine", "approved")
    days = int(verdict.expires - now) // DAY_SECONDS
    if days < WARN_DAYS:
        detail = f"the approval ends in {days} days: review it, `bascule approve {name}`"
        return News(name, "approval", "found", detail)
    return News(name, "approval", "fine", f"approved for {days} more days")


def of_versions(name: str, locked: Entry, newest: Entry | None, problem: str) -> News:
    """Tell whether the registry has newer versions; `problem`: why it was not asked."""
    if newest is None:
        return News(name, "versions", "not_assessed", problem)
    before = {it.purl for it in locked.packages}
    changed = tuple(it.purl for it in newest.packages if it.purl not in before)
    withdrawn = tuple(it.purl for it in newest.packages if it.yanked and it.purl in before)
    if withdrawn:
        detail = f"{len(withdrawn)} locked versions were withdrawn: `bascule update {name}`"
        return News(name, "versions", "found", detail, withdrawn)
    if changed:
        detail = f"{len(changed)} packages have newer versions: `bascule update {name}`"
        return News(name, "versions", "found", detail, changed)
    return News(name, "versions", "fine", "nothing newer")


def of_provenance(name: str, locked: Entry, newest: Entry) -> Iterator[News]:
    """Tell which packages lost their provenance, or are built by somebody else now.

    Such an update needs more than a look: it is how a stolen account shows.
    """
    before = {_bare(it): it for it in locked.packages}
    for package in newest.packages:
        old = before.get(_bare(package))
        if old is None or old.provenance.status != "verified":
            continue
        lost = _lost(old.provenance, package.provenance)
        if lost:
            detail = f"{package.purl}: {lost}"
            state: State = (
                "not_assessed" if package.provenance.status == "unavailable" else "found"
            )
            yield News(name, "provenance", state, detail, (package.purl,))


def _lost(before: Provenance, after: Provenance) -> str:
    if after.status == "unavailable":
        return "the registry serves no attestations, and the locked version had one"
    if after.status != "verified":
        return f"its provenance is {after.status}, and the locked version had one"
    if not same_identity(before, after):
        return f"built by {after.repository} ({after.workflow}), before {before.repository}"
    return ""


def _bare(package: Package) -> str:
    return package.purl.rpartition("@")[0]
