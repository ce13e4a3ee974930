"""From JSON Schema to Cedar: the types of a tool's arguments, and their values.

    string → String        boolean → Bool       object with properties → record
    integer → Long         number → decimal     array → Set of its items' type

`null` beside one of these is the same as absent. What may be of several kinds, of any kind,
or of a type that contains itself has no type here, so no policy can read it.

Cedar knows no floating point, and readers of JSON disagree on large integers. So a number
that is not the same everywhere is refused rather than rounded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from bascule.decision.argument_reads import Wanted
from bascule.decision.argument_shapes import Shape
from bascule.errors import BasculeError

MAX_INTEGER = 2**53 - 1
"""Beyond this, readers that know only IEEE 754 doubles read another number."""
MAX_ATTRIBUTES = 2000
"""Of one tool's record; a larger one has no type."""
_MAX_DECIMAL = Decimal("922337203685477.5807")
_MAX_DEPTH = 32
ESCAPES = frozenset(("__entity", "__extn", "__expr"))
"""Keys by which Cedar's JSON stands for something else than a record."""
_WHOLE = Wanted(whole=True)
_KINDS = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
}
_SIMPLE = {"string": "String", "boolean": "Bool", "integer": "Long", "number": "decimal"}


class UnreadableError(BasculeError):
    """A value is none that a policy can compare; the message ends a sentence about it."""


def cedar_type(shape: Shape, names: Collection[str]) -> str:
    """Write the Cedar type of those of a tool's arguments that `names` holds.

    Names that the tool does not have, or that have no type, are left out.
    """
    return _Writer().record(shape, (), names)


def is_readable(shape: Shape) -> bool:
    """Tell whether a part of the arguments has a Cedar type."""
    return _Writer().type(shape, ()) is not None


class _Writer:
    def __init__(self) -> None:
        self._left = MAX_ATTRIBUTES

    def record(self, shape: Shape, above: tuple[Shape, ...], names: Collection[str]) -> str:
        """Write the type of an object, as far as its names have types."""
        written = []
        for name in sorted(shape.names.intersection(names) - ESCAPES):
            part, _ = shape.member(name)
            self._left -= 1
            inner = self.type(part, (*above, shape)) if self._left > 0 else None
            if inner is not None:
                certain = name in shape.required and "null" not in part.kinds
                written.append(f"{_quoted(name)}{'' if certain else '?'}: {inner}")
        return "{" + ", ".join(written) + "}"

    def type(self, shape: Shape, above: tuple[Shape, ...]) -> str | None:
        """Write the type of one part; None where it has none."""
        kinds = shape.kinds - {"null"}
        if len(kinds) != 1 or shape in above or len(above) > _MAX_DEPTH:
            return None
        (kind,) = kinds
        if kind == "array":
            inner = self.type(shape.item[0], (*above, shape))
            return None if inner is None else f"Set<{inner}>"
        if kind == "object":
            return self.record(shape, above, shape.names) if shape.names else None
        return _SIMPLE[kind]


def _quoted(name: str) -> str:
    inner = "".join(
        it if it.isprintable() and it not in '"\\' else f"\\u{{{ord(it):x}}}" for it in name
    )
    return f'"{inner}"'


def cedar_arguments(
    arguments: Mapping[str, Any], shape: Shape | None, wanted: Wanted
) -> dict[str, Any]:
    """Write those arguments that policies read, as Cedar's JSON values.

    `shape`: of the approved schema; None where nothing is approved. Raises
    `UnreadableError`, with the name.
    """
    return dict(_members(arguments, shape, wanted))


def _members(
    value: Mapping[str, Any], shape: Shape | None, wanted: Wanted
) -> Iterator[tuple[str, Any]]:
    for name in value if wanted.whole else wanted.members:
        inner = value.get(name)
        if inner is None:
            continue
        part = None
        if shape is not None and name in shape.names:
            part = shape.member(name)[0]
        try:
            if name in ESCAPES:
                raise UnreadableError("has a name that no policy can read")
            yield name, _value(inner, part, wanted.members.get(name, _WHOLE))
        except UnreadableError as exc:
            raise UnreadableError(f"`{name[:100]}` {exc}") from exc


def _value(value: object, shape: Shape | None, wanted: Wanted) -> Any:
    """Write one value; it must be of the type that its shape has.

    Without a shape it must be of a kind that policies compare it with, if they do.
    """
    if shape is None:
        return _unapproved(value, wanted)
    kinds = shape.kinds - {"null"}
    if len(kinds) != 1:
        raise UnreadableError("may be of several kinds, so that no policy can compare it")
    return _written(value, next(iter(kinds)), shape, wanted)


def _unapproved(value: object, wanted: Wanted) -> Any:
    """Write a value of which no schema says what it is."""
    if isinstance(value, list):
        if wanted.many == {False}:
            raise UnreadableError("is an array, and policies compare one value")
        return [_written(it, _kind_of(it, wanted), None, _WHOLE) for it in value]
    if wanted.many == {True}:
        raise UnreadableError("is one value, and policies compare an array")
    return _written(value, _kind_of(value, wanted), None, wanted)


def _kind_of(value: object, wanted: Wanted) -> str | None:
    """Choose for which kind a value is taken; None where policies do not say it."""
    if len(wanted.kinds) < 2:
        return next(iter(wanted.kinds), None)
    own = _KINDS.get(type(value), "")
    if own not in wanted.kinds:
        raise UnreadableError("is of another kind than policies compare it with")
    return own


def _written(value: object, kind: str | None, shape: Shape | None, wanted: Wanted) -> Any:
    match value:
        case bool() if kind in {None, "boolean"}:
            return value
        case str() if kind in {None, "string"}:
            return value
        case int() | float() if not isinstance(value, bool):
            return _number(value, kind)
        case list() if kind in {None, "array"}:
            item = None if shape is None else shape.item[0]
            return [_value(it, item, _WHOLE) for it in value]
        case dict() if kind in {None, "object"}:
            return dict(_members(value, shape, wanted))
    raise UnreadableError("is of another kind than its schema or policies say")


def _number(value: float, kind: str | None) -> Any:
    whole = isinstance(value, int) or value.is_integer()
    if kind == "integer" or (kind is None and isinstance(value, int)):
        if not whole or abs(value) > MAX_INTEGER:
            raise UnreadableError("is no integer that all readers take for the same")
        return int(value)
    if kind not in {None, "number"}:
        raise UnreadableError("is of another kind than its schema or policies say")
    exact = Decimal(value if isinstance(value, int) else repr(value))
    if abs(exact) > _MAX_DECIMAL or exact != round(exact, 4):
        raise UnreadableError("has more digits than a policy can compare: four at most")
    return {"__extn": {"fn": "decimal", "arg": f"{exact or abs(exact):.4f}"}}
