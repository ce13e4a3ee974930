"""A scan as a page of one file: a map of who reaches what, charts, and all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from msgspec import UNSET

from bascule.scan.baseline import Compared
from bascule.scan.finding import Finding
from bascule.scan.report import Report
from bascule.scan.reports.causes import by_cause, target_of, where
from bascule.scan.reports.plain import plain
from bascule.scan.reports.reach_map import Guard, Map, guard_of, reach_map, reached_by
from bascule.scan.rule import SEVERITIES, Promise, Rule, Severity
from bascule.scan.rules import RULES
from bascule.scan.server import Server
from bascule.scan.taxonomies import TAXONOMIES
from bascule.web.one_file import render_one_file

MOST_REQUESTS = 10_000
"""That a page lists; `--json` has all."""
_BAR = 560
"""Length of the longest bar."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One place where a rule found something."""

    id: str
    target: str
    evidence: str
    accepted: str
    """Why it does not count; empty when it does."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a rule found, wherever it did."""

    severity: Severity
    rule: str
    promise: Promise
    title: str
    why: str
    fix: str
    mapped: tuple[str, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar."""

    kind: str
    x: int
    width: int
    count: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart."""

    name: str
    segments: tuple[Segment, ...]
    count: int
    said: str


@dataclass(frozen=True, slots=True)
class Row:
    """A server."""

    name: str
    state: str
    guard: Guard
    auth: str
    who: str
    where: str
    file: str
    pinned: str
    through: str
    known: str


@dataclass(frozen=True, slots=True)
class ScanPage:
    """`scan.html`."""

    made: str
    counts: tuple[tuple[str, int], ...]
    causes: tuple[Cause, ...]
    """Of findings that count."""
    accepted: tuple[Cause, ...]
    promises: tuple[Bar, ...]
    guards: tuple[Bar, ...]
    map: Map
    servers: tuple[Row, ...]
    gaps: tuple[tuple[str, str, str], ...]
    requests: tuple[tuple[str, str, str, str], ...]
    more_requests: int
    scope: tuple[str, ...]
    notes: tuple[str, ...]
    """On the baseline."""


def scan_page(
    report: Report, held: Compared, *, made: str, rules: Mapping[str, Rule] = RULES
) -> str:
    """Write the page; `made` says when, and of what."""
    counting = [it for it in report.findings if held.counts(it)]
    accepted = [it for it in report.findings if not held.counts(it)]
    counted = Counter(it.severity for it in counting)
    page = ScanPage(
        made=made,
        counts=tuple((it, counted[it]) for it in SEVERITIES),
        causes=_causes(counting, held, rules),
        accepted=_causes(accepted, held, rules),
        promises=_promises(counting),
        guards=_guards(report.servers),
        map=reach_map(report.servers),
        servers=tuple(map(_row, report.servers)),
        gaps=tuple(
            (plain(it.target), plain(it.what), plain(it.why)) for it in report.not_assessed
        ),
        requests=tuple(_requests(report)),
        more_requests=max(0, len(report.requests) - MOST_REQUESTS),
        scope=tuple(map(plain, report.scope)),
        notes=tuple(_notes(held)),
    )
    return render_one_file("scan", page)


def _causes(
    findings: Iterable[Finding], held: Compared, rules: Mapping[str, Rule]
) -> tuple[Cause, ...]:
    return tuple(_cause(each, held, rules.get(each[0].rule)) for each in by_cause(findings))


def _cause(findings: list[Finding], held: Compared, rule: Rule | None) -> Cause:
    first = findings[0]
    titles = [(it.titles, it.of(rule)) for it in TAXONOMIES] if rule is not None else []
    return Cause(
        severity=first.severity,
        rule=first.rule,
        promise=first.promise,
        title=plain(first.title),
        why="" if rule is None else rule.why,
        fix=plain(first.fix),
        mapped=tuple(f"{it} {names[it]}" for names, ids in titles for it in ids),
        seen=tuple(_seen(it, held) for it in findings),
    )


def _seen(finding: Finding, held: Compared) -> Seen:
    entry = held.accepted.get(finding.id)
    why = "" if entry is None else f"until {entry.expires}: {plain(entry.reason)}"
    return Seen(finding.id, target_of(finding), plain(finding.evidence), why)


def _promises(findings: Iterable[Finding]) -> tuple[Bar, ...]:
    counted = Counter((it.promise, it.severity) for it in findings)
    rows: dict[str, dict[str, int]] = {
        promise: {it: counted[promise, it] for it in SEVERITIES}
        for promise in get_args(Promise)
    }
    return _bars(rows)


def _guards(servers: Sequence[Server]) -> tuple[Bar, ...]:
    guards = {it.state: guard_of(it) for it in servers}
    counted = Counter(it.state for it in servers)
    rows: dict[str, dict[str, int]] = {
        it: {guards[it]: counted[it]} for it in sorted(guards)
    }
    return _bars(rows)


def _bars(rows: Mapping[str, Mapping[str, int]]) -> tuple[Bar, ...]:
    longest = max((sum(it.values()) for it in rows.values()), default=0)
    return tuple(_bar(name, parts, longest) for name, parts in rows.items())


def _bar(name: str, parts: Mapping[str, int], longest: int) -> Bar:
    segments, x = [], 0
    for kind, count in parts.items():
        # Thin, but there: one finding among thousands is not drawn as none.
        width = max(2, _BAR * count // longest) if count else 0
        if count:
            segments.append(Segment(kind, x, width, count))
        x += width
    total = sum(parts.values())
    said = ", ".join(f"{count} {kind}" for kind, count in parts.items() if count)
    return Bar(name, tuple(segments), total, f"{name}: {said or 'none'}")


def _row(server: Server) -> Row:
    return Row(
        name=plain(server.name),
        state=server.state,
        guard=guard_of(server),
        auth=server.auth or "not known",
        who=", ".join(reached_by(server)),
        where=plain(where(server)),
        file="" if server.path is UNSET else plain(server.path),
        pinned=_said(server.pinned),
        through=_said(server.through_bascule),
        known=_said(server.known),
    )


def _said(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]


def _requests(report: Report) -> Iterable[tuple[str, str, str, str]]:
    for it in report.requests[:MOST_REQUESTS]:
        status = "no answer" if it.status is None else str(it.status)
        yield plain(it.method), plain(it.url), plain(it.address), status


def _notes(held: Compared) -> Iterable[str]:
    for entry in held.expired:
        yield f"expired on {entry.expires}, counts again: {plain(entry.id)}"
    for entry in held.unmatched:
        yield f"accepts nothing that was found: {plain(entry.id)}"
