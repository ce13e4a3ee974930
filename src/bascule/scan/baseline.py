"""Baselines: findings that somebody accepted, each for a reason and until a day.

A baseline hides nothing: what it accepts is still reported, as accepted. An entry is held
against what is found by id, rule, target and severity, so that whoever reviews the file
sees what it lets pass; a finding that has become worse is not accepted any longer.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.scan.finding import Finding
from bascule.scan.reports.plain import plain
from bascule.scan.rule import Severity, reaches

LARGEST = 4 << 20
"""Bytes of a file; a hundred findings take a few kilobytes."""
LONGEST_DAYS = 366
"""How far ahead an entry may expire: nothing is accepted for ever."""
NEW_DAYS = 90
"""After which a new entry expires that nobody has changed."""
_HEAD = """\
Findings that are accepted. Each needs a reason; on the day after `expires` it counts again.
"""


class BaselineError(BasculeError):
    """A baseline that is not one."""


class Accepted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accepted]]` of a baseline."""

    id: str
    rule: str
    target: str
    """As the report on a terminal has it: nothing in it that is not seen."""
    severity: Severity
    """The worst that is accepted."""
    reason: str
    expires: datetime.date
    """The last day on which it counts (UTC)."""


class Compared(Struct, frozen=True, kw_only=True):
    """Findings, held against a baseline."""

    accepted: dict[str, Accepted]
    """By the id of the finding."""
    expired: tuple[Accepted, ...]
    unmatched: tuple[Accepted, ...]
    """Nothing was found that they are about, or it is not what they say."""

    def counts(self, finding: Finding) -> bool:
        """Tell whether a finding counts: nobody has accepted it."""
        return finding.id not in self.accepted


def day_of(now: UnixTime) -> datetime.date:
    """Give the day of a time (UTC)."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).date()


def read_baseline(text: str, *, source: str, today: datetime.date) -> tuple[Accepted, ...]:
    """Read a baseline. Raises `BaselineError`, which names the entry that is wrong."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise BaselineError(f"`{source}` is no TOML: {plain(str(exc))}") from exc
    rows = document.pop("accepted", [])
    if document:
        name = plain(next(iter(document)))
        raise BaselineError(f"`{source}`: `{name}` is not known here")
    if not isinstance(rows, list):
        raise BaselineError(f"`{source}`: entries begin with `[[accepted]]`")
    entries = tuple(
        _entry(row, f"`{source}`, entry {number}", today)
        for number, row in enumerate(rows, start=1)
    )
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            name = plain(entry.id)
            raise BaselineError(f"`{source}` has two entries of `{name}`: keep one")
        seen.add(entry.id)
    return entries


def _entry(row: Any, where: str, today: datetime.date) -> Accepted:
    name = row.get("id") if isinstance(row, dict) else None
    where = f"{where} (`{plain(str(name))}`)" if name else where
    try:
        entry = msgspec.convert(row, Accepted)
    except msgspec.ValidationError as exc:
        raise BaselineError(f"{where}: {plain(str(exc))}") from exc
    if not entry.reason.strip():
        raise BaselineError(f"{where} has no reason: say why it is accepted, or remove it")
    if entry.expires > today + datetime.timedelta(days=LONGEST_DAYS):
        raise BaselineError(
            f"{where} expires on {entry.expires}: at most a year ahead, so that somebody "
            "looks at it again"
        )
    return entry


def compared(
    findings: Iterable[Finding], entries: Sequence[Accepted], *, today: datetime.date
) -> Compared:
    """Hold findings against the entries of a baseline."""
    found = {it.id: it for it in findings}
    expired = tuple(it for it in entries if it.expires < today)
    in_force = [it for it in entries if it.expires >= today]
    accepted = {it.id: it for it in in_force if _is_about(it, found.get(it.id))}
    unmatched = tuple(it for it in in_force if it.id not in accepted)
    return Compared(accepted=accepted, expired=expired, unmatched=unmatched)


def _is_about(entry: Accepted, finding: Finding | None) -> bool:
    return (
        finding is not None
        and (entry.rule, entry.target) == (finding.rule, plain(finding.target))
        and reaches(entry.severity, finding.severity)
    )


def write_baseline(
    findings: Iterable[Finding], kept: Sequence[Accepted], *, today: datetime.date
) -> str:
    """Write a baseline that has all of these findings.

    Entries that still are about one keep their reason and day. New ones have none: the
    file is refused until somebody has written a reason into each.
    """
    import tomlkit  # here: most scans write none

    known = {it.id: it for it in kept}
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD.strip()))
    rows = tomlkit.aot()
    for finding in findings:
        old = known.get(finding.id)
        table = tomlkit.table()
        still = old is not None and old.expires >= today and _is_about(old, finding)
        entry = old if old is not None and still else _new(finding, today)
        for key, value in msgspec.structs.asdict(entry).items():
            table.add(key, value)
        rows.append(table)
    document.add("accepted", rows)
    return tomlkit.dumps(document)


def _new(finding: Finding, today: datetime.date) -> Accepted:
    return Accepted(
        id=finding.id,
        rule=finding.rule,
        target=plain(finding.target),
        severity=finding.severity,
        reason="",
        expires=today + datetime.timedelta(days=NEW_DAYS),
    )
