"""The report as text: what is wrong, why it matters, and exactly what to do.

What one rule found in many places is explained once. What is wrong stands at the end, where
a terminal is when the scan is done.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from msgspec import UNSET

from bascule.scan.baseline import Compared
from bascule.scan.finding import Finding
from bascule.scan.report import Gap, Report
from bascule.scan.reports.causes import by_cause, target_of, where
from bascule.scan.reports.plain import plain
from bascule.scan.rule import SEVERITIES, Rule
from bascule.scan.rules import RULES
from bascule.scan.server import Server

Style = Callable[[str, str], str]
"""Paints a text in the style of that name: `critical` … `info`, `head`, `quiet`."""

_SHORT = {True: "yes", False: "no", None: "?"}
_ABSENT = frozenset({"not_mcp", "unreachable", "unknown"})
"""States of rows of which nobody knows that they are servers."""
_WIDEST = 32
"""Of a column; what is longer stands out of it, and is not cut."""


def unstyled(text: str, _style: str) -> str:
    """Paint nothing."""
    return text


def text_report(
    report: Report,
    held: Compared,
    *,
    counted: str = "",
    rules: Mapping[str, Rule] = RULES,
    width: int = 92,
    style: Style = unstyled,
) -> str:
    """Write the report for people, on lines of about `width` characters.

    `counted` says how much was looked at where that is no number of servers.
    """
    page = _Page(rules, width, style)
    lines = [
        *page.servers(report.servers),
        *page.gaps(report),
        *page.accepted([it for it in report.findings if not held.counts(it)], held),
        *page.baseline(held),
        *page.findings([it for it in report.findings if held.counts(it)]),
        style(_summary(report, held, counted), "head"),
    ]
    return "\n".join(lines)


def _summary(report: Report, held: Compared, looked_at: str) -> str:
    counted = Counter(it.severity for it in report.findings if held.counts(it))
    by_severity = ", ".join(f"{counted[it]} {it}" for it in SEVERITIES if counted[it])
    found = _number(counted.total(), "finding") + (f" ({by_severity})" if counted else "")
    there = [it for it in report.servers if it.state not in _ABSENT]
    parts = [looked_at or _number(len(there), "server"), found]
    if held.accepted:
        parts.append(f"{len(held.accepted)} accepted")
    parts.append(f"{len(report.not_assessed)} not assessed")
    if report.requests:
        parts.append(f"{_number(len(report.requests), 'request')} sent")
    return ", ".join(parts)


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


class _Page:
    """Lines of one width, in one style."""

    def __init__(self, rules: Mapping[str, Rule], width: int, style: Style) -> None:
        self._rules = rules
        self._width = width
        self._style = style

    def findings(self, findings: Iterable[Finding]) -> Iterator[str]:
        for each in by_cause(findings):
            first, rule = each[0], self._rules.get(each[0].rule)
            name = self._style(f"{first.severity.upper():<8}", first.severity)
            yield f"{name}  {self._style(plain(first.title), 'head')}"
            for finding in each:
                yield f"  {target_of(finding)}"
                yield from self._said("seen", finding.evidence)
                yield self._style(f"    id       {finding.id}", "quiet")
            if rule is not None:
                yield from self._said("matters", rule.why)
            yield from self._said("do", first.fix)
            yield ""

    def accepted(self, findings: Iterable[Finding], held: Compared) -> Iterator[str]:
        for number, finding in enumerate(findings):
            if number == 0:
                yield self._style("Accepted by the baseline", "head")
            entry = held.accepted[finding.id]
            what = f"{plain(finding.title)}: {target_of(finding)}"
            yield f"  {finding.severity:<8}  {what}"
            yield from self._said("until", f"{entry.expires}: {entry.reason}")
        if held.accepted:
            yield ""

    def gaps(self, report: Report) -> Iterator[str]:
        if report.not_assessed:
            yield self._style("Not assessed", "head")
            alike = sorted(report.not_assessed, key=_what_and_why)
            for (what, why), group in groupby(alike, key=_what_and_why):
                yield from self._wrapped(f"{what}: {why}", "  ")
                yield from self._wrapped(", ".join(it.target for it in group), "    ")
            yield ""

    def servers(self, servers: Iterable[Server]) -> Iterator[str]:
        rows = [_row(it) for it in servers]
        if rows:
            table = [("Servers", "state", "auth", "known", "Bascule", "where"), *rows]
            widths = [min(max(len(row[at]) for row in table), _WIDEST) for at in range(5)]
            for number, row in enumerate(table):
                cells = [cell.ljust(widths[at]) for at, cell in enumerate(row[:5])]
                line = "  ".join((*cells, row[5])).rstrip()
                yield self._style(line, "head") if number == 0 else line
            yield ""

    def baseline(self, held: Compared) -> Iterator[str]:
        for entry in held.expired:
            yield f"expired on {entry.expires}, counts again: {plain(entry.id)}"
        for entry in held.unmatched:
            yield f"accepts nothing that was found, take it out: {plain(entry.id)}"
        if held.expired or held.unmatched:
            yield ""

    def _said(self, label: str, text: str) -> Iterator[str]:
        return self._wrapped(text, f"    {label:<7}  ")

    def _wrapped(self, text: str, first: str) -> Iterator[str]:
        # Words are never broken: an address can be taken from the terminal whole.
        yield from textwrap.wrap(
            plain(text),
            width=max(self._width, len(first) + 20),
            initial_indent=first,
            subsequent_indent=" " * max(len(first), 4),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]


def _what_and_why(gap: Gap) -> tuple[str, str]:
    return gap.what, gap.why


def _row(server: Server) -> tuple[str, str, str, str, str, str]:
    return (
        plain(server.name) if server.name != where(server) else "-",
        server.state,
        server.auth or "?",
        _SHORT[server.known],
        _SHORT[server.through_bascule],
        plain(_where(server)),
    )


def _where(server: Server) -> str:
    return where(server) + ("" if server.path is UNSET else f" ({server.path})")
