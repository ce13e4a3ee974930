"""The conditions of a policy, taken apart into what is known and what is not yet.

Cedar evaluates `&&`, `||`, `!` and `if` from left to right and stops at the first error or
at what settles the answer. That, and nothing else of Cedar, is done over again here: every
part that reads nothing unknown is asked of Cedar itself, and a part that does can come to
anything until somebody looks closer (`satisfy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from bascule.decision.policy import Est, Policy

YES, NO, ERROR = 1, 2, 4
"""What a condition can come to; sums of them are sets."""
ANYTHING = YES | NO | ERROR
UNKNOWN = frozenset(("args", "touched"))
"""Attributes of the context that are not known before a call is made."""

_DEEPEST = 200
"""Nesting that is walked; what lies deeper can come to anything."""


class Known(Struct, frozen=True, cache_hash=True):
    """Comes to one thing."""

    outcome: int


class Asked(Struct, frozen=True, cache_hash=True):
    """Reads nothing unknown; stands for a place in the list of what Cedar is asked."""

    place: int


class Atom(Struct, frozen=True, cache_hash=True):
    """Reads something unknown and has no parts of its own."""

    written: bytes
    """The expression in Cedar's JSON policy format."""
    reads_more: bool = False
    """Something that is known, too: it differs from call to call."""


class Both(Struct, frozen=True, cache_hash=True):
    """`left && right`."""

    left: Formula
    right: Formula


class Either(Struct, frozen=True, cache_hash=True):
    """`left || right`."""

    left: Formula
    right: Formula


class Opposite(Struct, frozen=True, cache_hash=True):
    """`!inner`."""

    inner: Formula


class Choice(Struct, frozen=True, cache_hash=True):
    """`if test then yes else no`."""

    test: Formula
    yes: Formula
    no: Formula


Formula = Known | Asked | Atom | Both | Either | Opposite | Choice


def formula_of(policy: Policy) -> tuple[Formula, list[Est]]:
    """Give when a policy applies, its head aside, and the parts that Cedar can answer."""
    asked: list[Est] = []
    whole: Formula = Known(YES)
    for condition in policy.est["conditions"]:
        part = _formula(condition["body"], asked, 0)
        whole = both(whole, part if condition["kind"] == "when" else opposite(part))
    return whole, asked


def _formula(est: Est, asked: list[Est], depth: int) -> Formula:
    if depth > _DEEPEST:
        return _atom(est)
    if not reads_unknown(est):
        return _closed(est, asked)
    match est:
        case {"&&": {"left": left, "right": right}}:
            first = _formula(left, asked, depth + 1)
            return both(first, _formula(right, asked, depth + 1))
        case {"||": {"left": left, "right": right}}:
            first = _formula(left, asked, depth + 1)
            return either(first, _formula(right, asked, depth + 1))
        case {"!": {"arg": inner}}:
            return opposite(_formula(inner, asked, depth + 1))
        case {"if-then-else": {"if": test, "then": yes, "else": no}}:
            parts = [_formula(it, asked, depth + 1) for it in (test, yes, no)]
            return choice(*parts)
        case _:
            return _atom(est)


def _closed(est: Est, asked: list[Est]) -> Formula:
    match est:
        case {"Value": True}:
            return Known(YES)
        case {"Value": False}:
            return Known(NO)
        case _:
            asked.append(est)
            return Asked(len(asked) - 1)


def _atom(est: Est) -> Atom:
    return Atom(msgspec.json.encode(est, order="sorted"), not _reads_unknown_alone(est))


def _reads_unknown_alone(node: object) -> bool:
    if isinstance(node, list):
        return all(map(_reads_unknown_alone, node))
    if not isinstance(node, dict):
        return True
    if "Var" in node:
        return False
    inner = node.get(".") or node.get("has")
    if isinstance(inner, dict) and inner.get("left") == _CONTEXT:
        return inner.get("attr") in UNKNOWN
    return all(map(_reads_unknown_alone, node.values()))


def reads_unknown(node: object) -> bool:
    """Tell whether an expression may depend on what is not known before a call."""
    if isinstance(node, list):
        return any(map(reads_unknown, node))
    if not isinstance(node, dict):
        return False
    for operator, operand in node.items():
        if operator in {".", "has"} and isinstance(operand, dict):
            if operand.get("left") == _CONTEXT:
                if operand.get("attr") in UNKNOWN:
                    return True
                continue
        elif operator == "Var" and operand == "context":
            return True
        if reads_unknown(operand):
            return True
    return False


_CONTEXT = {"Var": "context"}


def both(left: Formula, right: Formula) -> Formula:
    """Join as `&&` does."""
    if isinstance(left, Known):
        return right if left.outcome == YES else left
    return left if right == Known(YES) else Both(left, right)


def either(left: Formula, right: Formula) -> Formula:
    """Join as `||` does."""
    if isinstance(left, Known):
        return right if left.outcome == NO else left
    return left if right == Known(NO) else Either(left, right)


def opposite(inner: Formula) -> Formula:
    """Negate as `!` does."""
    if isinstance(inner, Known):
        return Known(_OPPOSITES[inner.outcome])
    return Opposite(inner)


_OPPOSITES = {YES: NO, NO: YES, ERROR: ERROR}


def choice(test: Formula, yes: Formula, no: Formula) -> Formula:
    """Choose as `if` does."""
    if isinstance(test, Known):
        return {YES: yes, NO: no, ERROR: test}[test.outcome]
    return Choice(test, yes, no)


def filled(formula: Formula, answers: Sequence[int]) -> Formula:
    """Put Cedar's answers in their places."""
    match formula:
        case Asked(place):
            return Known(answers[place])
        case Both(left, right):
            return both(filled(left, answers), filled(right, answers))
        case Either(left, right):
            return either(filled(left, answers), filled(right, answers))
        case Opposite(inner):
            return opposite(filled(inner, answers))
        case Choice(test, yes, no):
            return choice(*(filled(it, answers) for it in (test, yes, no)))
        case _:
            return formula


@lru_cache(maxsize=4096)
def outcomes(formula: Formula) -> int:
    """Give all that a formula might come to: never too little."""
    match formula:
        case Known(outcome):
            return outcome
        case Both(left, right):
            return _joined(outcomes(left), outcomes(right), goes_on=YES)
        case Either(left, right):
            return _joined(outcomes(left), outcomes(right), goes_on=NO)
        case Opposite(inner):
            found = outcomes(inner)
            return sum(_OPPOSITES[it] for it in (YES, NO, ERROR) if found & it)
        case Choice(test, yes, no):
            tested = outcomes(test)
            found = tested & ERROR
            found |= outcomes(yes) if tested & YES else 0
            return found | (outcomes(no) if tested & NO else 0)
        case _:
            return ANYTHING


def _joined(left: int, right: int, *, goes_on: int) -> int:
    return (left & ~goes_on) | (right if left & goes_on else 0)


@lru_cache(maxsize=4096)
def reads_more(formula: Formula) -> bool:
    """Tell whether an open part depends on who asks, or for what, or when."""
    match formula:
        case Atom():
            return formula.reads_more
        case Both(left, right) | Either(left, right):
            return reads_more(left) or reads_more(right)
        case Opposite(inner):
            return reads_more(inner)
        case Choice(test, yes, no):
            return any(map(reads_more, (test, yes, no)))
        case _:
            return False
