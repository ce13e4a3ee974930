"""The report as JSON: the shape that `bascule schema scan` publishes."""

from __future__ import annotations

import datetime

import msgspec
from msgspec import Struct

from bascule.clock import UnixTime
from bascule.lock.invisible import json_text
from bascule.scan.baseline import Accepted, Compared
from bascule.scan.finding import Finding
from bascule.scan.report import Gap, Report, Sent
from bascule.scan.server import Server


class Suppression(Struct, frozen=True, kw_only=True):
    """Why a finding does not count."""

    reason: str
    expires: datetime.date
    """The last day on which it does not (UTC)."""


class ReportedFinding(Finding, frozen=True, kw_only=True):
    """A finding, and whether somebody accepted it."""

    suppressed: Suppression | None
    """By an entry of the baseline; null when the finding counts."""


class ReportedBaseline(Struct, frozen=True, kw_only=True):
    """What of the baseline accepted nothing."""

    expired: tuple[str, ...]
    """Ids whose last day has passed: these findings count again."""
    unmatched: tuple[str, ...]
    """Ids that nothing which was found is like: take them out."""


class Scanned(Struct, frozen=True, kw_only=True):
    """`scan`: the servers, what is wrong, and what could not be looked at."""

    version: str
    """Of Bascule."""
    at: UnixTime
    """When the scan ended."""
    servers: tuple[Server, ...]
    findings: tuple[ReportedFinding, ...]
    """The worst first; those that a baseline accepts are among them."""
    not_assessed: tuple[Gap, ...]
    requests: tuple[Sent, ...]
    """All that was sent."""
    scope: tuple[str, ...]
    baseline: ReportedBaseline


def json_report(report: Report, held: Compared, *, version: str, now: UnixTime) -> str:
    """Write the report as one line of JSON.

    What is not seen stands in it as escapes of JSON, so that a terminal obeys nothing.
    """
    scanned = Scanned(
        version=version,
        at=now,
        servers=report.servers,
        findings=tuple(_reported(it, held.accepted.get(it.id)) for it in report.findings),
        not_assessed=report.not_assessed,
        requests=report.requests,
        scope=report.scope,
        baseline=ReportedBaseline(
            expired=tuple(it.id for it in held.expired),
            unmatched=tuple(it.id for it in held.unmatched),
        ),
    )
    return json_text(msgspec.to_builtins(scanned))


def _reported(finding: Finding, entry: Accepted | None) -> ReportedFinding:
    why = None
    if entry is not None:
        why = Suppression(reason=entry.reason, expires=entry.expires)
    return ReportedFinding(**msgspec.structs.asdict(finding), suppressed=why)
