"""Arguments for which some things hold and others do not: made, or shown not to exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from bascule.decision.argument_forms import Form
from bascule.decision.atoms import (
    DECIMAL_UNIT,
    Exists,
    Literal,
    Path,
    paths_read,
    read_atom,
)
from bascule.decision.canonical import AmbiguousError
from bascule.decision.domains import (
    ContradictionError,
    Fact,
    Limits,
    is_no_record,
    values,
)
from bascule.decision.formulas import Atom
from bascule.decision.known_arguments import Known
from bascule.decision.patterns import UnsearchedError

_MOST_VALUES = 3
_SPELT: Mapping[str, Sequence[str]] = {
    "path": ("/a", "a"),
    "url": ("https://example.org/a",),
    "host": ("example.org",),
}
"""Texts that are spelt as they should be, by the kind of form."""

Way = Sequence[tuple[Atom, bool]]
"""Conditions that must be asked, and what each must come to."""


class Candidate(NamedTuple):
    """Something that may be allowed."""

    arguments: Mapping[str, Any]
    touched: frozenset[str]


@dataclass
class _Asked:
    """What a way asks, put in order."""

    facts: dict[Path, list[Fact]] = field(default_factory=dict)
    there: set[Path] = field(default_factory=set)
    absent: set[Path] = field(default_factory=set)
    hinted: set[Path] = field(default_factory=set)
    """Read by conditions that are not understood."""


@dataclass(frozen=True)
class Solution:
    """Values for which nothing that is understood of a way contradicts itself."""

    asked: _Asked
    values: Mapping[Path, Sequence[Literal]]
    """Of each argument a few; none when it is not known whether there are any."""
    known: Known

    def candidates(self) -> Iterator[Candidate]:
        """Give arguments that may go the way; others may when none of them does."""
        for n in range(_MOST_VALUES):
            if n and all(len(some) <= n for some in self.values.values()):
                return
            chosen = {
                path: some[min(n, len(some) - 1)]
                for path, some in self.values.items()
                if some
            }
            yield _candidate(self.asked, chosen, self.known, hints=False)
            if self.asked.hinted:
                yield _candidate(self.asked, chosen, self.known, hints=True)


def solve(way: Way, known: Known) -> Solution:
    """Find values that go a way. Raises `ContradictionError` if there are none."""
    asked = _sort(way)
    _check_presence(asked, known)
    found = {
        path: _first_values(facts, known.limits(path), known.form(path))
        for path, facts in asked.facts.items()
    }
    return Solution(asked, found, known)


def _sort(way: Way) -> _Asked:
    asked = _Asked()
    for atom, wanted in way:
        read = read_atom(atom)
        if read is None:
            asked.hinted |= paths_read(atom)
            continue
        demand, holds = read.demand, wanted is read.positive
        if isinstance(demand, Exists):
            asked.there.update(_above(demand.path))
            if holds:
                asked.there.add(demand.path)
            elif len(demand.path) > 1:  # whether there are arguments at all is not asked
                asked.absent.add(demand.path)
        else:
            asked.there.update((*_above(demand.path), demand.path))
            asked.facts.setdefault(demand.path, []).append((demand, holds))
    return asked


def _above(path: Path) -> Iterator[Path]:
    return (path[:end] for end in range(1, len(path)))


def _check_presence(asked: _Asked, known: Known) -> None:
    if asked.absent & asked.there:
        raise ContradictionError
    for path, facts in asked.facts.items():
        has_members = any(it[: len(path)] == path for it in asked.there if it != path)
        if has_members and is_no_record(facts):
            raise ContradictionError
    if any(path[:-1] in asked.there and known.requires(path) for path in asked.absent):
        raise ContradictionError


def _first_values(
    facts: Sequence[Fact], limits: Limits, form: Form | None
) -> list[Literal]:
    """Give a few values; none when it is not known whether there are any."""
    if form is not None:
        spelt = (Literal("string", it) for it in _SPELT.get(form.kind, ()))
        limits.suggested.extend(spelt)
    found: list[Literal] = []
    with suppress(UnsearchedError):
        found.extend(islice(values(facts, limits), _MOST_VALUES))
    if form is None:
        return found
    return sorted(found, key=lambda it: not _is_spelt(it, form))


def _is_spelt(literal: Literal, form: Form) -> bool:
    try:
        return literal.kind != "string" or form.canonical(literal.value) == literal.value
    except AmbiguousError:
        return False


def _candidate(
    asked: _Asked, chosen: Mapping[Path, Literal], known: Known, *, hints: bool
) -> Candidate:
    samples = known.samples
    sample = {} if samples is None else samples.sample()
    root: dict[str, Any] = {
        "args": sample if isinstance(sample, dict) else {},
        "touched": [],
    }
    present = {*asked.there, *(asked.hinted if hints else ())}
    for path in sorted(present):
        if path not in chosen and path[0] == "args" and not _has(root, path):
            _put(root, path, None if samples is None else samples.sample(path[1:]))
    for path, literal in sorted(chosen.items()):
        _put(root, path, _plain(literal))
    for path in asked.absent:
        holder = _holder(root, path)
        if isinstance(holder, dict):
            holder.pop(path[-1], None)
    return Candidate(root["args"], frozenset(map(str, root["touched"])))


def _holder(root: dict[str, Any], path: Path) -> Any:
    found: Any = root
    for name in path[:-1]:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _has(root: dict[str, Any], path: Path) -> bool:
    holder = _holder(root, path)
    return isinstance(holder, dict) and path[-1] in holder


def _put(root: dict[str, Any], path: Path, value: Any) -> None:
    holder = root
    for name in path[:-1]:
        if not isinstance(holder.get(name), dict):
            holder[name] = {}
        holder = holder[name]
    holder[path[-1]] = "a" if value is None else value


def _plain(literal: Literal) -> Any:
    """Write a value as JSON has it."""
    if literal.kind == "set":
        return sorted((_plain(it) for it in literal.value), key=repr)
    if literal.kind == "decimal":
        return literal.value / DECIMAL_UNIT
    return literal.value
