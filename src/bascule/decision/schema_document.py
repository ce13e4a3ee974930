"""One JSON Schema document: its references, and what its subschemas let values be.

All dialects are read alike: their keywords differ, and none means two things in two of them
where that matters here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from bascule.errors import BasculeError

Kind = Literal["null", "boolean", "integer", "number", "string", "array", "object"]

KINDS: frozenset[Kind] = frozenset(
    ("null", "boolean", "integer", "number", "string", "array", "object")
)
_ANY = ("anyOf", "oneOf")
_ONE = ("not", "if", "then", "else")

Schema = Mapping[str, Any] | bool


class UnusableSchemaError(BasculeError):
    """A schema cannot be compared with arguments; the message says why."""


class SchemaDocument:
    """A schema with all that it may refer to: nothing outside of it."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._kinds: dict[int, frozenset[Kind]] = {}
        self._required: dict[int, frozenset[str]] = {}
        self._anchors: dict[str, Schema] | None = None

    def together(self, schema: Mapping[str, Any]) -> Iterator[Schema]:
        """Give what always applies beside a subschema: its `$ref` and its `allOf`.

        Raises `UnusableSchemaError`.
        """
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            reference = schema.get(key)
            if isinstance(reference, str):
                yield self.resolve(reference)
        yield from schemas(schema, "allOf")

    def kinds(self, schema: Schema) -> frozenset[Kind]:
        """Give the kinds that one subschema, with all beside it, lets a value be of."""
        if schema is False:
            return frozenset()
        if not isinstance(schema, dict):
            return KINDS
        known = self._kinds.get(id(schema))
        if known is not None:
            return known
        self._kinds[id(schema)] = KINDS  # what a loop of `$ref`s says
        found = _own_kinds(schema)
        for it in self.together(schema):
            found &= self.kinds(it)
        for key in _ANY:
            if branches := schemas(schema, key):
                found &= frozenset[Kind]().union(*map(self.kinds, branches))
        self._kinds[id(schema)] = found
        return found

    def required(self, schema: Schema) -> frozenset[str]:
        """Give the names that one subschema, with all beside it, requires."""
        if not isinstance(schema, dict):
            return frozenset()
        known = self._required.get(id(schema))
        if known is not None:
            return known
        self._required[id(schema)] = frozenset()
        own = schema.get("required")
        found = frozenset(own if isinstance(own, list) else ())
        for it in self.together(schema):
            found |= self.required(it)
        for key in _ANY:
            if branches := schemas(schema, key):
                first, *others = map(self.required, branches)
                found |= first.intersection(*others)
        self._required[id(schema)] = found
        return found

    def resolve(self, reference: str) -> Schema:
        """Give what a `$ref` within the document is for; nothing else is ever fetched."""
        if not reference.startswith("#"):
            raise UnusableSchemaError(f"it refers to `{reference[:200]}`, another document")
        pointer = unquote(reference[1:])
        if pointer and not pointer.startswith("/"):
            return self._anchored(pointer)
        at: Any = self.root
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(at, dict) and key in at:
                at = at[key]
            elif isinstance(at, list) and key.isdecimal() and int(key) < len(at):
                at = at[int(key)]
            else:
                raise UnusableSchemaError(f"`{reference[:200]}` leads nowhere")
        if not isinstance(at, dict | bool):
            raise UnusableSchemaError(f"`{reference[:200]}` leads to no schema")
        return at

    def _anchored(self, name: str) -> Schema:
        if self._anchors is None:
            self._anchors = dict(_anchors(self.root))
        if name not in self._anchors:
            raise UnusableSchemaError(f"`#{name[:200]}` leads nowhere")
        return self._anchors[name]


def alternatives(schema: Mapping[str, Any]) -> Iterator[Schema]:
    """Give what may apply to the same value, and may not."""
    for key in _ANY:
        yield from schemas(schema, key)
    yield from (schema[key] for key in _ONE if has_schema(schema, key))
    for key in ("dependentSchemas", "dependencies"):
        values = members(schema, key).values()
        yield from (it for it in values if isinstance(it, dict | bool))


def _anchors(root: object) -> Iterator[tuple[str, Schema]]:
    waiting = [root]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(at.get(key), str):
                    yield at[key], at
            waiting += at.values()
        elif isinstance(at, list):
            waiting += at


def _own_kinds(schema: Mapping[str, Any]) -> frozenset[Kind]:
    """Read `type`, else what the schema's own values and keywords say."""
    said = schema.get("type")
    if said is not None:
        named = [said] if isinstance(said, str) else said
        return frozenset(it for it in KINDS if it in named)
    if "const" in schema:
        return frozenset((kind_of(schema["const"]),))
    if isinstance(schema.get("enum"), list):
        return frozenset(map(kind_of, schema["enum"]))
    if "properties" in schema:
        return frozenset(("object",))
    if "items" in schema or "prefixItems" in schema:
        return frozenset(("array",))
    return KINDS


def kind_of(value: object) -> Kind:
    """Name the kind of a JSON value; a number without a fraction is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def has_schema(schema: Mapping[str, Any], key: str) -> bool:
    """Whether a keyword holds a schema."""
    return isinstance(schema.get(key), dict | bool)


def schemas(schema: Mapping[str, Any], key: str) -> list[Schema]:
    """Give the schemas in the list that a keyword holds."""
    found = schema.get(key)
    return found if isinstance(found, list) else []


def members(schema: Mapping[str, Any], key: str) -> Mapping[str, Schema]:
    """Give the schemas by name that a keyword holds."""
    found = schema.get(key)
    return found if isinstance(found, dict) else {}
