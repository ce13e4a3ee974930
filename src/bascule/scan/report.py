"""What a scan found, what it could not look at, and what it sent."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from bascule.scan.finding import Finding
from bascule.scan.rule import SEVERITIES
from bascule.scan.server import Server


class Gap(Struct, frozen=True, kw_only=True):
    """Something that was to be looked at, and was not."""

    target: str
    what: str
    """What is not known of it, as the rules have it or in a few words."""
    why: str


class Sent(Struct, frozen=True, kw_only=True):
    """A request of the scan."""

    at: float
    """Seconds since 1970."""
    method: str
    url: str
    address: str
    """Where the connection went: `ADDRESS:PORT`."""
    status: int | None
    """None when no answer came."""


class Report(Struct, frozen=True, kw_only=True):
    """The result of a scan."""

    servers: tuple[Server, ...] = ()
    findings: tuple[Finding, ...] = ()
    """The worst first."""
    not_assessed: tuple[Gap, ...] = ()
    requests: tuple[Sent, ...] = ()
    """In the order in which they were sent."""
    scope: tuple[str, ...] = ()
    """What might be probed, as it was named."""


def merged(reports: Iterable[Report]) -> Report:
    """Put reports together; what is found twice is said once."""
    each = tuple(reports)
    findings = {it.id: it for report in each for it in report.findings}
    return Report(
        servers=tuple(it for report in each for it in report.servers),
        findings=tuple(sorted(findings.values(), key=_order)),
        not_assessed=tuple(
            dict.fromkeys(it for report in each for it in report.not_assessed)
        ),
        requests=tuple(
            sorted((it for report in each for it in report.requests), key=lambda it: it.at)
        ),
        scope=tuple(dict.fromkeys(it for report in each for it in report.scope)),
    )


def _order(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.target, finding.id
