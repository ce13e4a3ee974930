"""Whether a change of a JSON Schema lets more through than before, or less.

Judged keyword by keyword (JSON Schema 2020-12). Only what is known to let less through is
narrower; whatever is not known here, or stands where less can mean more, is wider.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET

Difference = tuple[str, bool, Any, Any]
"""JSON Pointer, whether it is known to narrow, before, after; UNSET where absent."""

TEXT_KEYWORDS = frozenset({"description", "title", "$comment", "examples"})
"""For people and models; they let nothing through."""

_MAPS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SINGLE = frozenset(
    {
        "items",
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contains",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
    }
)
_MONOTONE = frozenset(
    {"properties", "items", "additionalProperties", "anyOf", "allOf", "prefixItems"}
)
"""Where a narrower part makes the whole narrower."""


def differences(
    before: Any, after: Any, at: str = "", *, monotone: bool = True
) -> Iterator[Difference]:
    """Give all differences of two schemas, each as small as it can be told."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if not same(before, after):
            yield at, monotone and after is False, before, after
        return
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, UNSET), after.get(key, UNSET)
        if same(old, new):
            continue
        inside = monotone and key in _MONOTONE
        path = f"{at}/{escaped(key)}"
        if key in _SINGLE and isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, path, monotone=inside)
        elif key in _MAPS and isinstance(old, dict) and isinstance(new, dict):
            closed = inside and after.get("additionalProperties") is False
            yield from _of_map(old, new, path, monotone=inside, closed=closed)
        elif (
            key in _LISTS
            and isinstance(old, list)
            and isinstance(new, list)
            and len(old) == len(new)
        ):
            for index, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from differences(one, other, f"{path}/{index}", monotone=inside)
        else:
            yield path, monotone and _narrows(key, old, new), old, new


def _of_map(
    before: dict[str, Any], after: dict[str, Any], at: str, *, monotone: bool, closed: bool
) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        path = f"{at}/{escaped(name)}"
        old, new = before.get(name, UNSET), after.get(name, UNSET)
        if old is UNSET:
            # It may have been let through before; now models are told to fill it.
            yield path, False, old, new
        elif new is UNSET:
            yield path, closed, old, new
        else:
            yield from differences(old, new, path, monotone=monotone)


def escaped(key: str) -> str:
    """Write one step of a JSON Pointer (RFC 6901 §3)."""
    return key.replace("~", "~0").replace("/", "~1")


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same: 1 is 1.0 but not `true`."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _narrows(keyword: str, before: Any, after: Any) -> bool:
    judge = _KEYWORDS.get(keyword)
    return judge is not None and judge(before, after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lower(before: Any, after: Any) -> bool:
    return _is_number(after) and (
        before is UNSET or (_is_number(before) and after < before)
    )


def _higher(before: Any, after: Any) -> bool:
    return _is_number(after) and (
        before is UNSET or (_is_number(before) and after > before)
    )


def _is_new(before: Any, after: Any) -> bool:
    return before is UNSET


def _closes(before: Any, after: Any) -> bool:
    return after is False


def _demands(before: Any, after: Any) -> bool:
    return after is True


def _is_part(before: Any, after: Any) -> bool:
    """Of a list of allowed values, only some are left."""
    if before is UNSET:
        return True
    if not (isinstance(before, list) and isinstance(after, list)):
        return False
    return {_written(it) for it in after} <= {_written(it) for it in before}


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _asks_more(before: Any, after: Any) -> bool:
    return isinstance(after, list) and (
        before is UNSET or (isinstance(before, list) and _is_part(after, before))
    )


def _fewer_types(before: Any, after: Any) -> bool:
    if before is UNSET:
        return True
    old, new = _types(before), _types(after)
    return bool(new) and all(
        it in old or (it == "integer" and "number" in old) for it in new
    )


def _types(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


_KEYWORDS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _fewer_types,
    "enum": _is_part,
    "required": _asks_more,
    "additionalProperties": _closes,
    "unevaluatedProperties": _closes,
    "uniqueItems": _demands,
    "const": _is_new,
    "pattern": _is_new,
    "multipleOf": _is_new,
    "allOf": _is_new,
    "anyOf": _is_new,
    **dict.fromkeys(
        ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), _lower
    ),
    **dict.fromkeys(
        ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), _higher
    ),
}
"""How to see that a keyword at the same place lets less through."""
