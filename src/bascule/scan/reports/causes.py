"""Findings by what is wrong, so that it is explained once; where they and servers are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import UNSET

from bascule.scan.finding import Finding
from bascule.scan.reports.plain import plain
from bascule.scan.rule import SEVERITIES
from bascule.scan.server import Server


def by_cause(findings: Iterable[Finding]) -> Iterator[list[Finding]]:
    """Give findings of one rule, severity, title and fix together, the worst first."""
    for _, group in groupby(sorted(findings, key=_cause), key=_cause):
        yield [*group]


def _cause(finding: Finding) -> tuple[int, str, str, str]:
    return SEVERITIES.index(finding.severity), finding.rule, finding.title, finding.fix


def target_of(finding: Finding) -> str:
    """Say what a finding is about, and at which line of its file."""
    target = plain(finding.target)
    return target if finding.line is UNSET else f"{target} (line {finding.line})"


def where(server: Server) -> str:
    """Say where a server is asked, else how it is started, else where it listens."""
    if server.url is not UNSET:
        return server.url
    if server.command is not UNSET:
        return " ".join(server.command)
    return "" if server.address is UNSET else server.address
