"""Cells: answers to one question, made comparable.

The same question under two snapshots has the same answer if its cells are equal: what may
still be different then, arguments or the time, would be looked at by the same conditions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from bascule.decision import cedar
from bascule.decision.answers import Answer
from bascule.decision.callers import Membership
from bascule.decision.entries import TargetKind
from bascule.decision.flows import FLOW
from bascule.decision.formulas import Atom
from bascule.decision.model import Node, uid
from bascule.decision.policy import Policy, reads_of
from bascule.decision.residue import Residue
from bascule.decision.slices import Slice

_CHANGING = frozenset(("context", "context.now", "context.method"))
"""What may be different another time, or in another request for the same."""
_CALLERS = frozenset(("principal", "context", "context.agent", "context.user"))


class Person(NamedTuple):
    """A user, or somebody made up who stands for many."""

    label: str
    """What it is called in results."""
    user: str
    """`user:…`."""
    groups: frozenset[str] = frozenset()


class Asked(NamedTuple):
    """One tool, prompt or resource."""

    connector: str
    kind: TargetKind
    name: str

    @property
    def entry(self) -> str:
        """The entry that names it alone."""
        prefix = "" if self.kind == "tool" else f"{self.kind}:"
        return f"{self.connector}/{prefix}{self.name}"


class Cell(NamedTuple):
    """The answer to one question, without names of policies."""

    verdict: cedar.Verdict
    """In `policies` stands only of which kind those are that forbid or failed."""
    conditions: frozenset[str] | None = None
    """What it hangs on; None: on nothing but who asks for what."""


_YES = cedar.Verdict(allows=True)
NOTHING = Cell(cedar.Verdict(allows=False))
FAILED = Cell(cedar.Verdict(allows=False, policies=("x",), failed=True))


class Cells:
    """Gives equal cells one number."""

    def __init__(self) -> None:
        self._numbers: dict[Cell, int] = {}
        self._all: list[Cell] = []

    def number(self, cell: Cell) -> int:
        """Give the number of a cell."""
        number = self._numbers.setdefault(cell, len(self._all))
        if number == len(self._all):
            self._all.append(cell)
        return number

    def __getitem__(self, number: int) -> Cell:
        """Give the cell of a number."""
        return self._all[number]


def cell_of(
    answer: Answer, target: Node, callers: Iterable[Node], ending: Sequence[Membership]
) -> Cell:
    """Make the cell of an answer.

    `callers`: user and agent, as conditions see them; `ending`: the roles that the user is
    in for a time.
    """
    part = answer.part
    if part is None:
        return NOTHING
    conditions: set[str] = set()
    reads: Collection[str] = _read(answer.verdict.depends)
    if part.obliging or part.reads & _CHANGING:
        conditions.update(map(_condition, part.policies))
        reads = part.reads
    if "resource" in reads:
        conditions.add(_facts(target))
    if not _CALLERS.isdisjoint(reads):
        conditions |= {_facts(answer.question.principal), *map(_facts, callers)}
    conditions |= {_text(["until", it.until]) for it in _bearing(part, ending)}
    return Cell(_without_names(answer.verdict), frozenset(conditions) or None)


def _read(residue: Residue | None) -> frozenset[str]:
    """Name what the open rest of an answer reads beside what is unknown."""
    if residue is None:
        return frozenset()
    atoms = (msgspec.json.decode(it.written) for it in _atoms(residue))
    return frozenset(name for it in atoms for name in reads_of(it))


def _atoms(part: object) -> Iterator[Atom]:
    if isinstance(part, Atom):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from _atoms(each)
    elif isinstance(part, msgspec.Struct):
        for each in msgspec.structs.astuple(part):
            yield from _atoms(each)


def _without_names(found: cedar.Verdict) -> cedar.Verdict:
    if found.allows and not found.obliges:
        return _YES
    refuses = not found.allows and not found.depends
    kinds = {FLOW if it.startswith(FLOW) else "x" for it in found.policies}
    return replace(
        found,
        policies=tuple(sorted(kinds)) if refuses else (),
        obliges=tuple(sorted({(rule, "") for rule, _ in found.obliges})),
    )


def _bearing(part: Slice, ending: Sequence[Membership]) -> Iterator[Membership]:
    """Give the memberships whose end may change the answer."""
    if not ending:
        return
    by_role = {uid("Role", it.role): it for it in ending}
    reads = bool(part.reads & {"principal", "context", "context.user"})
    lasting = [it for it in part.policies if it.principal.within not in by_role]
    through = [it for it in part.policies if it.principal.within in by_role]
    permitted = any(it.effect == "permit" and not it.is_open for it in lasting)
    if not reads and permitted and all(it.effect == "permit" for it in through):
        return
    for place, membership in by_role.items():
        if reads or any(it.principal.within == place for it in through):
            yield membership


def _condition(policy: Policy) -> str:
    """Write what a policy whose head matches says; names of policies mean nothing."""
    conditions = policy.est["conditions"] if policy.is_open else []
    return _text([policy.effect, policy.obligation, conditions])


def _facts(node: Node) -> str:
    return _text([*node.uid, sorted(node.within), node.attributes])


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
