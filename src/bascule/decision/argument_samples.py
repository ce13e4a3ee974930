"""Arguments that a JSON Schema probably accepts, and what it says of each for sure.

A sample is a start for who looks for arguments; whether the schema accepts it is for the
schema itself to judge. What is sure is less than what a `Shape` gathers: only what holds
whatever else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from bascule.decision.schema_document import SchemaDocument, UnusableSchemaError

_DEEPEST = 16
_MOST_PARTS = 2_000
"""Parts of one schema that are looked at for one question: the schema is an upstream's."""
_TEXTS: Mapping[str, str] = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "a@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "uri-reference": "/a",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_LONGEST = 4096
_OTHERWISE_READ = (b'"$id"', b"draft-03", b"draft-04")
"""By these a `$ref` is for another place, or a keyword is not known."""
_MOST_NAMES = 500

Part = Mapping[str, Any]
"""A schema that is an object."""


class Samples:
    """One schema."""

    def __init__(self, schema: bytes) -> None:
        """Read a schema from JSON. Raises `msgspec.DecodeError`."""
        self._root = msgspec.json.decode(schema)
        self._document = SchemaDocument(self._root)
        self._left = _MOST_PARTS
        self.is_plain = not any(key in schema for key in _OTHERWISE_READ)
        """Every `$ref` and keyword means what it says here."""

    def at(self, path: Sequence[str]) -> list[Part]:
        """Give the parts that hold of the property at a path, when it is there."""
        self._left = _MOST_PARTS
        parts = list(self._conjuncts(self._root))
        for name in path:
            inner = _properties(parts, name)
            parts = [part for schema in inner for part in self._conjuncts(schema)]
        return parts

    def requires(self, path: Sequence[str]) -> bool:
        """Tell whether a property must be there when what it belongs to is.

        One that may be null need not: for policies that is as if it was not there.
        """
        parts = self.at(path[:-1])
        if not any(path[-1] in _sequence(part.get("required")) for part in parts):
            return False
        kinds = (part.get("type") for part in self.at(path))
        return any(isinstance(kind, str) and kind != "null" for kind in kinds)

    def sample(self, path: Sequence[str] = ()) -> Any:
        """Make an instance of what is at a path; `"a"` where nothing is known."""
        return self._sample({"allOf": self.at(path)}, 0)

    def _conjuncts(self, schema: object, depth: int = 0) -> Iterator[Part]:
        """Give what an instance must fit all of: the schema, its `$ref`, its `allOf`."""
        self._left -= 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._left < 0:
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            # What stands beside it counts in some revisions of JSON Schema only.
            with suppress(UnusableSchemaError):
                inner = self._document.resolve(reference)
                yield from self._conjuncts(inner, depth + 1)
            return
        yield schema
        for part in _sequence(schema.get("allOf")):
            yield from self._conjuncts(part, depth + 1)

    def _sample(self, schema: object, depth: int) -> Any:
        parts = list(self._conjuncts(schema))
        for part in parts:
            found = list(examples(part))
            if found:
                return found[0]
        for part in parts:
            options = _sequence(part.get("anyOf")) or _sequence(part.get("oneOf"))
            if options and "type" not in part and depth < _DEEPEST:
                rest = {k: v for k, v in part.items() if k not in {"anyOf", "oneOf"}}
                return self._sample({"allOf": [options[0], rest]}, depth + 1)
        merged = {key: part[key] for part in reversed(parts) for key in part}
        return self._by_type(parts, merged, depth)

    def _by_type(self, parts: Sequence[Part], merged: Part, depth: int) -> Any:
        kinds = merged.get("type")
        kind = next(iter(kinds), None) if isinstance(kinds, list) else kinds
        if kind in {"integer", "number"}:
            return _number(merged)
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        if kind == "array":
            return self._array(merged, depth)
        if kind == "object" or "properties" in merged or "required" in merged:
            return self._object(parts, depth)
        return _text(merged)

    def _array(self, merged: Part, depth: int) -> list[Any]:
        least = merged.get("minItems")
        if depth >= _DEEPEST or not isinstance(least, int) or not 0 < least < 100:
            return []
        return [self._sample(merged.get("items"), depth + 1)] * least

    def _object(self, parts: Sequence[Part], depth: int) -> dict[str, Any]:
        needed = [it for part in parts for it in _sequence(part.get("required"))]
        if depth >= _DEEPEST:
            return {}
        return {
            name: self._sample({"allOf": list(_properties(parts, name))}, depth + 1)
            for name in needed[:_MOST_NAMES]
            if isinstance(name, str)
        }


def examples(part: Part) -> Iterator[Any]:
    """Give values that a schema names as good."""
    for key in ("const", "default"):
        if key in part:
            yield part[key]
    for key in ("enum", "examples"):
        yield from _sequence(part.get(key))


def _text(merged: Part) -> str:
    text = _TEXTS.get(str(merged.get("format")), "a")
    shortest = merged.get("minLength")
    return text.ljust(min(shortest, _LONGEST), "a") if isinstance(shortest, int) else text


def _number(merged: Part) -> Any:
    for key, step in (
        ("minimum", 0),
        ("exclusiveMinimum", 1),
        ("maximum", 0),
        ("exclusiveMaximum", -1),
    ):
        bound = merged.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            return bound + step
    return merged.get("multipleOf", 1)


def _properties(parts: Sequence[Part], name: str) -> Iterator[Any]:
    for part in parts:
        properties = part.get("properties")
        if isinstance(properties, dict) and name in properties:
            yield properties[name]


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
