"""Whether there are arguments with which a call would be allowed.

What is left of each question (its residue) is written out as the ways in which it can come
to yes: each is a list of conditions that must hold or must not. When each contradicts
itself there are no such arguments. From the others candidates are made, which whoever asks
has to try: only Cedar itself says that a call is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from bascule.decision.candidates import Candidate, Solution, solve
from bascule.decision.domains import ContradictionError
from bascule.decision.formulas import (
    ERROR,
    NO,
    YES,
    Atom,
    Both,
    Choice,
    Either,
    Formula,
    Opposite,
    outcomes,
)
from bascule.decision.known_arguments import Known
from bascule.decision.residue import Residue

Proof = Literal["proved", "refuted", "unproved"]
"""Arguments were found; there are none; or neither is known."""
_MOST_STEPS = 256
_MOST_TRIES = 8

Way = tuple[tuple[Atom, bool], ...]
Wish = tuple[Formula, int]
"""A condition and what it is to come to."""


class _GaveUpError(Exception):
    """Too many ways to look at: nothing is shown."""


def prove(
    residues: Sequence[Residue], known: Known, confirm: Callable[[Candidate], bool]
) -> Proof:
    """Look for arguments that make the answer to all questions yes.

    `confirm` tells of a candidate whether it does.
    """
    needed = _wishes(residues)
    whole = [*needed, *_settled(residues)]
    tries, ways_found = 0, 0
    try:
        for solution in _Search(known).solutions(whole):
            ways_found += 1
            for candidate in solution.candidates():
                if confirm(candidate):
                    return "proved"
                tries += 1
                if tries == _MOST_TRIES:
                    return "unproved"
    except _GaveUpError:
        return "refuted" if not ways_found and _is_refuted(needed, known) else "unproved"
    return "unproved" if ways_found else "refuted"


def is_refuted(residues: Sequence[Residue], known: Known) -> bool:
    """Tell whether there are certainly no such arguments; no candidates are made."""
    return _is_refuted([*_wishes(residues), *_settled(residues)], known)


def _is_refuted(wishes: Sequence[Sequence[Wish]], known: Known) -> bool:
    try:
        return next(_Search(known).solutions(wishes), None) is None
    except _GaveUpError:
        return False


class _Search:
    """Goes through the ways in which wishes come true, and leaves those that cannot."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._left = _MOST_STEPS

    def solutions(self, wishes: Sequence[Sequence[Wish]]) -> Iterator[Solution]:
        """Give solutions in which of each group one wish comes true, none too few.

        Raises `_GaveUpError`.
        """
        return self._go_on((), solve((), self._known), wishes)

    def _go_on(
        self, begun: Way, solution: Solution, wishes: Sequence[Sequence[Wish]]
    ) -> Iterator[Solution]:
        if not wishes:
            yield solution
            return
        for formula, want in wishes[0]:
            for more in ways(formula, want):
                if not more:
                    yield from self._go_on(begun, solution, wishes[1:])
                    continue
                way = (*begun, *more)
                longer = self._solved(way)
                if longer is not None:
                    yield from self._go_on(way, longer, wishes[1:])

    def _solved(self, way: Way) -> Solution | None:
        if self._left == 0:
            raise _GaveUpError
        self._left -= 1
        try:
            return solve(way, self._known)
        except ContradictionError:
            return None


def _wishes(residues: Sequence[Residue]) -> list[list[Wish]]:
    """Write down what must come true: of each group one."""
    wishes: list[list[Wish]] = []
    for residue in residues:
        wishes += [[(when, NO)] for when in residue.forbids]
        if not residue.permitted:
            wishes.append([(when, YES) for when in residue.permits])
    return wishes


def _settled(residues: Sequence[Residue]) -> list[list[Wish]]:
    """Write down that what is not needed must not fail either."""
    return [
        [(when, YES), (when, NO)]
        for residue in residues
        for when in (*residue.permits, *residue.others)
        if outcomes(when) & ERROR
    ]


def ways(formula: Formula, want: int) -> Iterator[Way]:
    """Give the ways in which a formula comes to yes or to no."""
    if not outcomes(formula) & want:
        return
    match formula:
        case Atom():
            yield ((formula, want == YES),)
        case Opposite(inner):
            yield from ways(inner, NO if want == YES else YES)
        case Both(left, right):
            yield from _in_order(left, right, want, stops=NO)
        case Either(left, right):
            yield from _in_order(left, right, want, stops=YES)
        case Choice(test, yes, no):
            yield from _then(test, YES, yes, want)
            yield from _then(test, NO, no, want)
        case _:
            yield ()


def _in_order(left: Formula, right: Formula, want: int, *, stops: int) -> Iterator[Way]:
    if want == stops:
        yield from ways(left, want)
    yield from _then(left, YES + NO - stops, right, want)


def _then(first: Formula, to: int, second: Formula, want: int) -> Iterator[Way]:
    for way in ways(first, to):
        for rest in ways(second, want):
            yield (*way, *rest)
