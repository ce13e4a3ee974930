"""Which arguments the conditions of policies read, and with what they compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

_TEXT, _INTEGER = frozenset(("string",)), frozenset(("integer",))
_NAMES = {str: "string", bool: "boolean", int: "integer"}
_SILENT = frozenset(("==", "!=", "contains", "containsAll", "containsAny"))
"""Operators that compare values of any kinds."""
_ORDERED = frozenset(("<", "<=", ">", ">=", "+", "-", "*"))
Place = tuple[str, ...]
"""Names that lead to a part of the arguments; items of arrays stand where these stand."""


@dataclass(frozen=True, slots=True)
class Read:
    """One place in a policy where an argument is read."""

    place: Place
    literals: tuple[str, ...] = ()
    """Texts that it is compared with; of a `like` pattern what stands before a `*`."""
    likes: bool = False
    """By `like`, which sees a part of the text only."""
    kinds: frozenset[str] = frozenset()
    """Kinds of JSON value that it is compared with, or its items are; empty: any."""
    many: bool | None = None
    """Whether it is taken for an array; None: for either."""
    is_test: bool = False
    """By `has`: only whether it is there."""


def reads(node: object) -> Iterator[Read]:
    """Find where an expression in Cedar's JSON reads parts of `context.args`."""
    if isinstance(node, list):
        for child in node:
            yield from reads(child)
        return
    if not isinstance(node, dict):
        return
    if place := _place(node):
        yield Read(place)
        return
    for operator, operand in node.items():
        sides = operand if isinstance(operand, dict) else {}
        left, right = _place(sides.get("left")), _place(sides.get("right"))
        if operator == "has" and _is_arguments(sides.get("left")):
            yield Read((*left, sides["attr"]), is_test=True)
        elif operator == "like" and left:
            head = _pattern_head(sides.get("pattern"))
            yield Read(left, head, likes=True, kinds=_TEXT, many=False)
        elif left or right:
            other = sides.get("right") if left else sides.get("left")
            kinds, many = _compared(operator, other, is_left=bool(left))
            yield Read(left or right, tuple(_texts(other)), kinds=kinds, many=many)
            yield from reads(other)
        else:
            yield from _inside(operator, sides)
            yield from reads(operand)


def _place(node: object) -> Place:
    """Read `context.args.NAME.NAME`; empty for anything else."""
    return _steps(node)[1:] if _is_arguments(node) else ()


def _is_arguments(node: object) -> bool:
    """Whether it is `context.args`, or a part of that."""
    return _steps(node)[:1] == ("args",)


def _steps(node: object) -> tuple[str, ...]:
    """Give the attributes that lead from `context` to an expression."""
    names: list[str] = []
    while isinstance(node, dict) and isinstance(step := node.get("."), dict):
        names.append(step["attr"])
        node = step["left"]
    return tuple(reversed(names)) if node == {"Var": "context"} else ()


def _inside(operator: str, sides: dict[str, Any]) -> Iterator[Read]:
    """Find what is compared as an item of a set, or as what an `if` comes to."""
    if operator == "like":
        heads = _pattern_head(sides.get("pattern"))
        places = filter(None, map(_place, _results(sides.get("left"))))
        yield from (Read(place, heads, likes=True) for place in places)
    if operator not in _SILENT:
        return
    left, right = (list(_results(sides.get(it))) for it in ("left", "right"))
    for these, others in ((left, right), (right, left)):
        kinds = frozenset(kind for other in others for kind in _kinds(other))
        literals = tuple(text for other in others for text in _texts(other))
        for node in these:
            if place := _place(node):
                yield Read(place, literals, kinds=kinds)


def _results(node: object) -> Iterator[object]:
    """Give what an expression may come to, or hold."""
    if not isinstance(node, dict):
        return
    choice = node.get("if-then-else")
    inner = (
        [choice["then"], choice["else"]] if isinstance(choice, dict) else node.get("Set")
    )
    if inner is None:
        yield node
        return
    for it in inner:
        yield from _results(it)


def _compared(
    operator: str, other: object, *, is_left: bool
) -> tuple[frozenset[str], bool | None]:
    """Say for what kind a comparison takes an argument, and whether for an array.

    Cedar finds values of two kinds unequal, and a set without what is of another kind: no
    error, and so no `forbid`, would come of an argument that servers read as the other.
    """
    if operator in _ORDERED:
        return _INTEGER, False
    kinds = frozenset(_kinds(other))
    if operator in {"==", "!="}:
        return kinds, _is_set(other) if kinds else None
    if operator == "contains":
        return kinds, is_left
    return (kinds, True) if operator in {"containsAll", "containsAny"} else (kinds, None)


def _is_set(node: object) -> bool:
    return isinstance(node, dict) and "Set" in node


def _kinds(node: object) -> Iterator[str]:
    """Name the kinds of what is written out; nothing for what is only known in a call."""
    if not isinstance(node, dict):
        return
    for operator, operand in node.items():
        if operator == "Value":
            yield _NAMES.get(type(operand), "")
        elif operator == "Set":
            for item in operand:
                yield from _kinds(item)
        elif operator == "neg":
            yield "integer"
        elif operator in {"decimal", "Record"}:
            yield "number" if operator == "decimal" else "object"


def _pattern_head(pattern: Any) -> tuple[str, ...]:
    """Join the literal characters up to the first wildcard; none where it comes first."""
    text = ""
    for piece in pattern:
        if not isinstance(piece, dict):
            break
        text += piece.get("Literal", "")
    return (text,) if text else ()


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _texts(child)
    elif isinstance(node, dict):
        value = node.get("Value")
        if isinstance(value, str):
            yield value
        yield from _texts(node.get("Set"))


@dataclass(slots=True)
class Wanted:
    """Which parts of a value policies read, as a tree."""

    members: dict[str, Wanted] = field(default_factory=dict)
    whole: bool = False
    """All of it, whatever its members are called."""
    kinds: set[str] = field(default_factory=set)
    """Kinds that it, or each of its items, is compared with; empty: any."""
    many: set[bool] = field(default_factory=set)
    """Whether it is taken for an array, for one value, or for both; empty: unknown."""

    def __bool__(self) -> bool:
        """Whether anything is read."""
        return self.whole or bool(self.members)


def wanted(found: Iterable[Read], *, whole: bool = False) -> Wanted:
    """Gather what is read; `whole`: some policy reads the arguments as a whole."""
    root = Wanted(whole=whole)
    for read in found:
        at = root
        for name in read.place:
            at = at.members.setdefault(name, Wanted())
        at.whole = at.whole or not read.is_test
        at.kinds |= read.kinds
        at.many |= set() if read.many is None else {read.many}
    return root
