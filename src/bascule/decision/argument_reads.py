"""Which arguments the conditions of policies read, and with what they compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

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
            yield Read(left, _pattern_head(sides.get("pattern")), likes=True)
        elif left or right:
            other = sides.get("right") if left else sides.get("left")
            yield Read(left or right, tuple(_texts(other)))
            yield from reads(other)
        else:
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
    return root
