"""Whose audits count here: our file and those that it imports, put together.

Others' files are taken in by their digest, and of them only audits, by people and in
criteria that our file names: whom they trust is no matter of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from bascule.lock.audits_file import (
    EVERYBODY,
    Audit,
    AuditsError,
    AuditsFile,
    Bytes,
    Criterion,
    Exemption,
    Import,
    TrustedPublisher,
    bytes_of,
    parse_audits,
    versions_of,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """An audit that counts: all of `to` was read, or what differs from `start`."""

    to: Bytes
    start: Bytes | None
    criteria: frozenset[str]
    """Of ours, with all that they imply."""
    who: str


@dataclass(frozen=True, slots=True)
class Audits:
    """All that counts here, ours and others'."""

    criteria: tuple[str, ...] = ()
    """In the order of the file."""
    implied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Criterion → itself and what it implies."""
    steps: Mapping[Bytes, tuple[Step, ...]] = field(default_factory=dict)
    """By what they lead to."""
    trusted: tuple[TrustedPublisher, ...] = ()
    exemptions: Mapping[Bytes, tuple[Exemption, ...]] = field(default_factory=dict)
    """By what they are of, without a digest."""


def take_together(ours: AuditsFile, others: Mapping[str, bytes]) -> Audits:
    """Put our file and the files that it imports together, `others` by name of the import.

    Raises `AuditsError` when one of them is missing, is not what was imported, or is none.
    """
    implied = _closures(ours.criteria)
    steps = [_step(it, it.who, _all_of(it.criteria, implied)) for it in ours.audits]
    for name, settings in ours.imports.items():
        content = others.get(name, b"")
        if hashlib.sha256(content).hexdigest() != settings.sha256:
            hint = f"look at what has changed, then `bascule import audits {name} FILE`"
            raise AuditsError(f"`{settings.file}` is not what was imported: {hint}")
        theirs = parse_audits(content, source=settings.file)
        steps += _imported(name, settings, theirs, implied)
    exempt = ((bytes_of(it.package, it.version, ""), it) for it in ours.exemptions)
    return Audits(
        tuple(ours.criteria),
        implied,
        _grouped((it.to, it) for it in steps),
        ours.trusted,
        _grouped(exempt),
    )


def _imported(
    name: str,
    settings: Import,
    theirs: AuditsFile,
    implied: Mapping[str, frozenset[str]],
) -> Iterator[Step]:
    """Give those of others' audits that count, in our criteria."""
    their_implied = _closures(theirs.criteria)
    people = set(settings.people)
    for it in theirs.audits:
        if it.who not in people and EVERYBODY not in people:
            continue
        met = _all_of(it.criteria, their_implied)
        ours = [to for theirs_ in met for to in settings.criteria.get(theirs_, ())]
        yield _step(it, f"{it.who} ({name})", _all_of(ours, implied))


def _step(audit: Audit, who: str, criteria: frozenset[str]) -> Step:
    before, after = versions_of(audit)
    to = bytes_of(audit.package, after, audit.sha256 or audit.sha512 or "")
    start = None
    if before is not None:
        digest = audit.from_sha256 or audit.from_sha512 or ""
        start = bytes_of(audit.package, before, digest)
    return Step(to, start, criteria, who)


def _grouped(pairs: Iterable[tuple[Bytes, T]]) -> dict[Bytes, tuple[T, ...]]:
    found: dict[Bytes, list[T]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _closures(criteria: Mapping[str, Criterion]) -> dict[str, frozenset[str]]:
    """Give all that each criterion implies, itself included; circles do no harm."""
    found = {}
    for name in criteria:
        met: set[str] = set()
        waiting = [name]
        while waiting:
            it = waiting.pop()
            if it not in met:
                met.add(it)
                waiting += criteria[it].implies
        found[name] = frozenset(met)
    return found


def _all_of(names: Iterable[str], implied: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset(it for name in set(names) for it in implied[name])
