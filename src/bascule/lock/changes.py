"""What has changed in a definition, place by place, and how much that matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from msgspec import UNSET, Struct

from bascule.lock.definition import NAME_KEY, Kind, canonical_digest
from bascule.lock.schema_changes import TEXT_KEYWORDS, differences, escaped, same
from bascule.lock.signs import signs

ChangeClass = Literal[
    "schema_widened",
    "instruction_like",
    "capability",
    "added",
    "renamed",
    "schema_narrowed",
    "removed",
    "docs",
    "cosmetic",
    "identical",
]

CLASSES: tuple[ChangeClass, ...] = get_args(ChangeClass)
"""What a person should see first comes first."""

_SCHEMAS = frozenset({"inputSchema", "outputSchema"})
_TEXTS = frozenset({"description", "title"})


class Change(Struct, frozen=True):
    """One place of a definition that is different."""

    pointer: str
    """JSON Pointer (RFC 6901) into the definition."""
    change: ChangeClass
    before: Any = UNSET
    """UNSET where there was nothing."""
    after: Any = UNSET
    signs: tuple[str, ...] = ()
    """Of a text that speaks to the model, where the text before has none."""


class DefinitionChange(Struct, frozen=True):
    """One definition that is different."""

    kind: Kind
    name: str
    change: ChangeClass
    """The first in `CLASSES` of all its changes."""
    was: str = ""
    """Its name before, when that is what has changed."""
    changes: tuple[Change, ...] = ()
    signs: tuple[str, ...] = ()
    """Of a definition that is new."""


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Compare two definitions; empty when, and only when, their digests are the same."""
    return sorted(_compare(before, after), key=lambda it: (rank(it.change), it.pointer))


def rank(change: ChangeClass) -> int:
    """Give the place of a class in `CLASSES`."""
    return CLASSES.index(change)


def worst(changes: list[Change]) -> ChangeClass:
    """Give the class that a person should see first."""
    return min((it.change for it in changes), key=rank, default="identical")


def compare_all(
    kind: Kind,
    before: Mapping[str, tuple[dict[str, Any], ...]],
    after: Mapping[str, tuple[dict[str, Any], ...]],
) -> list[DefinitionChange]:
    """Compare all definitions of one kind, by name; what matters most comes first.

    A name may have several, where a server shows different ones to different clients.
    """
    gone = {name: _body(kind, before[name]) for name in before if name not in after}
    known = {body: name for name, body in reversed(gone.items())}
    found: list[DefinitionChange] = []
    for name in after:
        if name in before:
            found += _of_one_name(kind, name, before[name], after[name])
            continue
        was = known.pop(_body(kind, after[name]), "")
        if was:
            del gone[was]
            found.append(DefinitionChange(kind, name, "renamed", was=was))
        else:
            found.append(_added(kind, name, after[name]))
    for name in gone:
        removed = tuple(Change("", "removed", before=old) for old in before[name])
        found.append(DefinitionChange(kind, name, "removed", changes=removed))
    return sorted(found, key=lambda it: (rank(it.change), it.name))


def _added(kind: Kind, name: str, new: tuple[dict[str, Any], ...]) -> DefinitionChange:
    changes = tuple(Change("", "added", after=definition) for definition in new)
    told = tuple(sorted(signs(list(new))))
    return DefinitionChange(kind, name, "added", changes=changes, signs=told)


def _of_one_name(
    kind: Kind,
    name: str,
    before: tuple[dict[str, Any], ...],
    after: tuple[dict[str, Any], ...],
) -> Iterator[DefinitionChange]:
    gone = [old for old in before if not any(same(old, new) for new in after)]
    for definition in after:
        if any(same(old, definition) for old in before):
            continue
        compared = [(compare(old, definition), old) for old in gone or before]
        changes, old = min(compared, key=lambda pair: len(pair[0]))
        if old in gone:
            gone.remove(old)
        yield DefinitionChange(kind, name, worst(changes), changes=tuple(changes))
    if gone:
        changes = [Change("", "removed", before=old) for old in gone]
        yield DefinitionChange(kind, name, "removed", changes=tuple(changes))


def _body(kind: Kind, found: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """Give digests of definitions that do not depend on their name."""
    bodies = ({k: v for k, v in it.items() if k != NAME_KEY[kind]} for it in found)
    return tuple(sorted(canonical_digest(it) for it in bodies))


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in before.keys() | after.keys():
        old, new = before.get(key, UNSET), after.get(key, UNSET)
        at = f"/{escaped(key)}"
        if same(old, new):
            continue
        if key in _SCHEMAS and isinstance(old, dict) and isinstance(new, dict):
            yield from _of_schema(old, new, at, is_input=key == "inputSchema")
        else:
            yield from _of_value(old, new, at, texts=key != "_meta")


def _of_schema(
    before: dict[str, Any], after: dict[str, Any], at: str, *, is_input: bool
) -> Iterator[Change]:
    for pointer, narrows, old, new in differences(before, after, at):
        parts = pointer.split("/")
        if parts[-1] in TEXT_KEYWORDS and _is_keyword(parts):
            yield _of_text(pointer, old, new)
            continue
        wider: ChangeClass = "schema_widened" if is_input else "capability"
        if "x-mcp-header" in parts:
            wider, narrows = "capability", False
        yield _classed(pointer, old, new, "schema_narrowed" if narrows else wider)


def _is_keyword(parts: list[str]) -> bool:
    """Tell a keyword from a property of the same name: its parent is no map of names.

    Where a property has the name of such a map this takes a keyword for a property, which
    puts the change in a class that matters more.
    """
    maps = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
    return parts[-2] not in maps


def _of_value(before: Any, after: Any, at: str, *, texts: bool) -> Iterator[Change]:
    """Compare what is no schema; whatever is no text may change what a client does."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            old, new = before.get(key, UNSET), after.get(key, UNSET)
            if not same(old, new):
                yield from _of_value(old, new, f"{at}/{escaped(key)}", texts=texts)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            if not same(old, new):
                yield from _of_value(old, new, f"{at}/{index}", texts=texts)
    elif texts and at.rpartition("/")[2] in _TEXTS:
        yield _of_text(at, before, after)
    else:
        yield _classed(at, before, after, "capability")


def _of_text(at: str, before: Any, after: Any) -> Change:
    plain = all(it is UNSET or isinstance(it, str) for it in (before, after))
    if plain and _words(before) == _words(after):
        return _classed(at, before, after, "cosmetic")
    return _classed(at, before, after, "docs")


def _words(text: Any) -> list[str]:
    return [] if text is UNSET else str(text).split()


def _classed(at: str, before: Any, after: Any, change: ChangeClass) -> Change:
    """Make a change; one whose new text speaks to the model is of that class at least."""
    old = frozenset[str]() if before is UNSET else signs(before)
    told = frozenset[str]() if after is UNSET else signs(after) - old
    if told and rank("instruction_like") < rank(change):
        change = "instruction_like"
    return Change(at, change, before, after, tuple(sorted(told)))
