"""The values that one argument can have, when several things are asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import TypeVar

from bascule.decision.argument_types import MAX_INTEGER
from bascule.decision.atoms import (
    AtMost,
    Demand,
    Empty,
    Holds,
    HoldsAll,
    IsTrue,
    Kind,
    Literal,
    Matches,
    OneOf,
)
from bascule.decision.patterns import Pattern, UnsearchedError, fits, some_words

_UNITS = (1 << 63) - 1
"""Cedar's decimals count their last place in integers of 64 bits."""
TRUE, FALSE = Literal("bool", True), Literal("bool", False)
BOOLEANS = frozenset((TRUE, FALSE))
_MOST_ELEMENTS = 10

T = TypeVar("T")
Fact = tuple[Demand, bool]
"""Something asked of a value, and whether it must hold or must not."""


class ContradictionError(Exception):
    """No value is left."""


@dataclass
class Limits:
    """What else is known of a value, beside what policies ask."""

    allowed: frozenset[Literal] | None = None
    """The only ones there are; None: not known to be few."""
    least: int = -MAX_INTEGER
    most: int = MAX_INTEGER
    shortest: int = 0
    kind: Kind | None = None
    """As its schema has it."""
    kind_is_sure: bool = False
    suggested: list[Literal] = field(default_factory=list)
    """Worth a try first."""

    def permit(self, value: Literal) -> bool:
        """Tell whether a value is within the bounds of its kind."""
        return value.kind != "long" or self.least <= value.value <= self.most


def values(facts: Sequence[Fact], limits: Limits) -> Iterator[Literal]:
    """Give values for which all facts hold, as far as they are searched for.

    Raises `ContradictionError` if there are none, and `UnsearchedError` if that is not
    known.
    """
    few, kind = _few(facts, limits), _kind(facts)
    if kind is None and limits.kind_is_sure:
        kind = limits.kind
    if few is None and kind == "bool":
        few = BOOLEANS
    if few is not None:
        good = (it for it in sorted(few, key=repr) if limits.permit(it))
        return _some(it for it in good if _holds_all(facts, it))
    suggested = (it for it in limits.suggested if _holds_all(facts, it))
    if kind is not None:
        return chain(suggested, _of_kind(kind, facts, limits))
    # Only what it is not was asked: nearly everything is left.
    likely: Iterator[Literal] = iter(())
    if limits.kind is not None:
        with suppress(ContradictionError, UnsearchedError):
            likely = _of_kind(limits.kind, facts, limits)
    return chain(suggested, likely, _anything(facts))


def _of_kind(kind: Kind, facts: Sequence[Fact], limits: Limits) -> Iterator[Literal]:
    """Give values of one kind. Raises `ContradictionError`, `UnsearchedError`."""
    match kind:
        case "bool":
            return _some(it for it in (TRUE, FALSE) if _holds_all(facts, it))
        case "string":
            return _strings(facts, limits)
        case "set":
            return _some(_sets(facts))
        case _:
            return _some(_numbers(kind, facts, limits))


def is_no_record(facts: Sequence[Fact]) -> bool:
    """Tell whether what has members can not be what is asked for."""
    return any(
        _kind_of(demand) is not None or (wanted and isinstance(demand, OneOf))
        for demand, wanted in facts
    )


def holds(demand: Demand, value: Literal) -> bool:
    """Tell whether a demand holds for a value. An argument of another kind fits nothing."""
    match demand:
        case IsTrue():
            return value == TRUE
        case OneOf(values=allowed):
            return value in allowed
        case Matches(pattern=pattern):
            return value.kind == "string" and fits(pattern, value.value)
        case AtMost(kind=kind, bound=bound):
            return value.kind == kind and value.value <= bound
        case Holds(values=some):
            return value.kind == "set" and not value.value.isdisjoint(some)
        case HoldsAll(values=all_of):
            return value.kind == "set" and value.value.issuperset(all_of)
        case Empty():
            return value.kind == "set" and not value.value
        case _:
            return True


def _holds_all(facts: Iterable[Fact], value: Literal) -> bool:
    return all(
        holds(demand, value) is wanted and _is_asked_of(demand, value)
        for demand, wanted in facts
    )


def _is_asked_of(demand: Demand, value: Literal) -> bool:
    """Tell whether Cedar can ask that of a value: of another kind it would be an error."""
    kind = _kind_of(demand)
    return kind is None or kind == value.kind


def _kind_of(demand: Demand) -> Kind | None:
    match demand:
        case IsTrue():
            return "bool"
        case Matches():
            return "string"
        case AtMost(kind=kind):
            return kind
        case Holds() | HoldsAll() | Empty():
            return "set"
        case _:
            return None


def _kind(facts: Sequence[Fact]) -> Kind | None:
    kinds = {_kind_of(demand) for demand, _ in facts} - {None}
    if len(kinds) > 1:
        raise ContradictionError
    return kinds.pop() if kinds else None


def _few(facts: Sequence[Fact], limits: Limits) -> frozenset[Literal] | None:
    few = limits.allowed
    for demand, wanted in facts:
        if wanted and isinstance(demand, OneOf):
            few = demand.values if few is None else few & demand.values
    return few


def _some(found: Iterator[T]) -> Iterator[T]:
    """Look for the first at once. Raises `ContradictionError`."""
    for first in found:
        return chain((first,), found)
    raise ContradictionError


def _anything(facts: Sequence[Fact]) -> Iterator[Literal]:
    """Give values of all kinds, first of those that policies compare this one with.

    Where no schema says what it is, a call with another kind is refused.
    """
    excluded = {value for demand, _ in facts for value in _values_of(demand)}
    candidates = chain(
        (TRUE, FALSE),
        (Literal("string", "a" * n) for n in range(1, len(excluded) + 2)),
        (Literal("long", n) for n in range(len(excluded) + 1)),
        (Literal("decimal", n) for n in range(len(excluded) + 1)),
    )
    kinds = {it.kind for it in excluded}
    likely = sorted(candidates, key=lambda it: it.kind not in kinds)
    return (it for it in likely if it not in excluded)


def _values_of(demand: Demand) -> Iterable[Literal]:
    return demand.values if isinstance(demand, OneOf) else ()


def _strings(facts: Sequence[Fact], limits: Limits) -> Iterator[Literal]:
    fitting: list[Pattern] = []
    others: list[Pattern] = []
    for demand, wanted in facts:
        if isinstance(demand, Matches):
            (fitting if wanted else others).append(demand.pattern)
        elif isinstance(demand, OneOf):
            others += [tuple(it.value) for it in demand.values if it.kind == "string"]
    found = some_words(frozenset(fitting), frozenset(others))
    if not found:
        raise ContradictionError
    if limits.shortest:
        # Shorter ones count too: what a policy sees may be shorter than what was sent.
        with suppress(UnsearchedError):
            longer = some_words(
                frozenset(fitting), frozenset(others), shortest=limits.shortest
            )
            found = (*longer, *found)
    return (Literal("string", word) for word in found)


def _numbers(kind: Kind, facts: Sequence[Fact], limits: Limits) -> Iterator[Literal]:
    low, high = (limits.least, limits.most) if kind == "long" else (-_UNITS, _UNITS)
    excluded = set()
    for demand, wanted in facts:
        if isinstance(demand, AtMost):
            if wanted:
                high = min(high, demand.bound)
            else:
                low = max(low, demand.bound + 1)
        elif isinstance(demand, OneOf):
            excluded |= {it.value for it in demand.values if it.kind == kind}
    tried = dict.fromkeys(
        chain(
            (0, 10_000, low, high),
            range(low, min(high, low + len(excluded)) + 1),
            range(max(low, high - len(excluded)), high + 1),
        )
    )
    return (Literal(kind, it) for it in tried if low <= it <= high and it not in excluded)


def _sets(facts: Sequence[Fact]) -> Iterator[Literal]:
    """Give the sets of what is named and of one thing that is not, small ones first."""
    named = {it for demand, _ in facts for it in _elements_of(demand)}
    other = "a" * (1 + max((len(str(it.value)) for it in named), default=0))
    options = sorted(named, key=repr)
    if len(options) > _MOST_ELEMENTS:
        raise UnsearchedError("too many sets to look at")
    options.append(Literal("string", other))
    for size in range(len(options) + 1):
        for chosen in combinations(options, size):
            found = Literal("set", frozenset(chosen))
            if _holds_all(facts, found):
                yield found


def _elements_of(demand: Demand) -> Iterable[Literal]:
    return demand.values if isinstance(demand, Holds | HoldsAll) else ()
