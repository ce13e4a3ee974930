"""What a policy asks of one argument, read from Cedar's JSON policy format."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from bascule.decision.formulas import UNKNOWN, Atom
from bascule.decision.patterns import WILDCARD, Pattern
from bascule.decision.policy import Est

Path = tuple[str, ...]
"""Attributes from the context on: `("args", "path")`, `("touched",)`."""
Kind = str
"""`string`, `long`, `bool`, `decimal` or `set`."""

DECIMAL_UNIT = 10_000
"""Cedar's decimals have four places; they are counted in these."""


class Literal(NamedTuple):
    """A value with its kind, for `1` and `true` are equal in Python."""

    kind: Kind
    value: Any
    """A decimal as a multiple of its last place; a set as frozenset of literals."""


class Exists(Struct, frozen=True):
    """`has`."""

    path: Path


class IsTrue(Struct, frozen=True):
    """The argument itself, where a condition stands."""

    path: Path


class OneOf(Struct, frozen=True):
    """`==`, or membership in a set that is written out."""

    path: Path
    values: frozenset[Literal]


class Matches(Struct, frozen=True):
    """`like`."""

    path: Path
    pattern: Pattern


class AtMost(Struct, frozen=True):
    """`<=`; the other comparisons are made of it."""

    path: Path
    kind: Kind
    bound: int


class Holds(Struct, frozen=True):
    """A set holds one of some values."""

    path: Path
    values: tuple[Literal, ...]


class HoldsAll(Struct, frozen=True):
    """A set holds all of some values."""

    path: Path
    values: tuple[Literal, ...]


class Empty(Struct, frozen=True):
    """A set holds nothing."""

    path: Path


Demand = Exists | IsTrue | OneOf | Matches | AtMost | Holds | HoldsAll | Empty


class Read(NamedTuple):
    """An atom that is understood."""

    demand: Demand
    positive: bool
    """False: the atom holds when the demand does not."""


@lru_cache(maxsize=4096)
def read_atom(atom: Atom) -> Read | None:
    """Understand an atom; None for one of a form that is not looked into."""
    est = msgspec.json.decode(atom.written)
    path = _path(est)
    if path is not None:
        return Read(IsTrue(path), True)
    if not isinstance(est, dict) or len(est) != 1:
        return None
    ((operator, operand),) = est.items()
    if isinstance(operand, list):
        return _by_function(operator, operand)
    return _by_operator(operator, operand) if isinstance(operand, dict) else None


def paths_read(atom: Atom) -> frozenset[Path]:
    """Name the arguments that an atom reads."""
    found: set[Path] = set()
    _collect(msgspec.json.decode(atom.written), found)
    return frozenset(found)


def _collect(node: object, found: set[Path]) -> None:
    path = _path(node)
    if path is not None:
        found.add(path)
    elif isinstance(node, dict):
        for child in node.values():
            _collect(child, found)
    elif isinstance(node, list):
        for child in node:
            _collect(child, found)


def _by_operator(operator: str, operand: Est) -> Read | None:
    if operator == "has":
        inner = _path(operand["left"])
        attribute = operand["attr"]
        if inner is None:
            return None
        return Read(Exists((*inner, attribute)), True)
    if operator == "like":
        path = _path(operand["left"])
        return Read(Matches(path, _pattern(operand["pattern"])), True) if path else None
    if operator == "isEmpty":
        path = _path(operand["arg"])
        return Read(Empty(path), True) if path else None
    left, right = operand.get("left"), operand.get("right")
    if operator in {"==", "!="}:
        found = _equality(left, right) or _equality(right, left)
        return Read(found, operator == "==") if found else None
    if operator in _FLIPPED:
        return _comparison(operator, left, right, "long")
    return _of_sets(operator, left, right)


def _by_function(operator: str, operands: list[Any]) -> Read | None:
    operator = _DECIMAL_COMPARISONS.get(operator, "")
    if not operator or len(operands) != 2:
        return None
    return _comparison(operator, operands[0], operands[1], "decimal")


_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DECIMAL_COMPARISONS = {
    "lessThan": "<",
    "lessThanOrEqual": "<=",
    "greaterThan": ">",
    "greaterThanOrEqual": ">=",
}


def _comparison(operator: str, left: Any, right: Any, kind: Kind) -> Read | None:
    path, literal = _path(left), _literal(right)
    if path is None:
        path, literal, operator = _path(right), _literal(left), _FLIPPED[operator]
    if path is None or literal is None or literal.kind != kind:
        return None
    below = operator in {"<", ">="}
    bound = literal.value - 1 if below else literal.value
    return Read(AtMost(path, kind, bound), operator in {"<", "<="})


def _equality(left: Any, right: Any) -> OneOf | None:
    path, literal = _path(left), _literal(right)
    if path is None or literal is None:
        return None
    return OneOf(path, frozenset((literal,)))


def _of_sets(operator: str, left: Any, right: Any) -> Read | None:
    path, literal = _path(left), _literal(right)
    if path is None or literal is None:
        path, literal = _path(right), _literal(left)
        if operator != "contains" or path is None or literal is None:
            return None
        return Read(OneOf(path, literal.value), True) if literal.kind == "set" else None
    if operator == "contains":
        return Read(Holds(path, (literal,)), True)
    if literal.kind != "set":
        return None
    values = tuple(sorted(literal.value, key=repr))
    if operator == "containsAny":
        return Read(Holds(path, values), True)
    return Read(HoldsAll(path, values), True) if operator == "containsAll" else None


def _path(est: object) -> Path | None:
    names: list[str] = []
    while isinstance(est, dict):
        if est == {"Var": "context"}:
            names.reverse()
            return tuple(names) if names and names[0] in UNKNOWN else None
        inner = est.get(".")
        if not isinstance(inner, dict) or len(est) != 1:
            return None
        names.append(inner["attr"])
        est = inner["left"]
    return None


def _literal(est: object) -> Literal | None:
    match est:
        case {"Value": bool(value)}:
            return Literal("bool", value)
        case {"Value": int(value)}:
            return Literal("long", value)
        case {"Value": str(value)}:
            return Literal("string", value)
        case {"neg": {"arg": {"Value": int(value)}}}:
            return Literal("long", -value)
        case {"decimal": [{"Value": str(text)}]}:
            return _decimal(text)
        case {"Set": list(items)}:
            found = [_literal(item) for item in items]
            known = frozenset(it for it in found if it is not None)
            return Literal("set", known) if None not in found else None
        case _:
            return None


def _decimal(text: str) -> Literal | None:
    sign = -1 if text.startswith("-") else 1
    whole, _, places = text.lstrip("-").partition(".")
    if not (whole.isdecimal() and places.isdecimal() and len(places) <= 4):
        return None
    units = int(whole) * DECIMAL_UNIT + int(places.ljust(4, "0"))
    return Literal("decimal", sign * units)


def _pattern(elements: list[Any]) -> Pattern:
    found: list[str | None] = []
    for element in elements:
        found += [WILDCARD] if element == "Wildcard" else list(element["Literal"])
    return tuple(found)
