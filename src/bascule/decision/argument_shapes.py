"""What a JSON Schema says of each part of a tool's arguments, read without a value.

A `Shape` gathers every subschema that may apply to one part, through `$ref`, `allOf`,
`anyOf` and the like. What it knows is an upper bound: which names an object may have, of
which kinds a value may be, how many subschemas a validator may visit for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from bascule.errors import BasculeError

Kind = Literal["null", "boolean", "integer", "number", "string", "array", "object"]

KINDS: frozenset[Kind] = frozenset(
    ("null", "boolean", "integer", "number", "string", "array", "object")
)
MAX_WEIGHT = 4096
"""Subschemas that may apply to one part; `$ref`s that fan out reach millions."""
_REVISITS = 3
"""`unevaluated…` makes a validator visit again what was evaluated beside it."""

_ANY = ("anyOf", "oneOf")
_ONE = ("not", "if", "then", "else")
_EACH_NAME = ("patternProperties",)
_OTHER_NAMES = ("additionalProperties", "unevaluatedProperties")
_ITEMS = ("items", "additionalItems", "unevaluatedItems", "contains")

Schema = Mapping[str, Any] | bool


class Place(NamedTuple):
    """A subschema that may apply to one part."""

    schema: Schema
    times: int
    """How often it may be visited, for one value."""
    certain: bool
    """It always applies; else it is one of several alternatives."""


class UnusableSchemaError(BasculeError):
    """A schema cannot be compared with arguments; the message says why."""


class Shape:
    """One part of the arguments, and the subschemas that may apply to it."""

    def __init__(self, document: Document, entries: Iterable[Place]) -> None:
        self._document = document
        self._entries = tuple(entries)
        self._places = document.gather(self._entries)
        self._children: dict[str, tuple[Shape, int]] = {}

    @cached_property
    def weight(self) -> int:
        """Subschemas that are visited for one value here, at most."""
        listed = sum(len(it.get("enum", ())) for it in self._objects)
        return sum(it.times for it in self._places) + listed // 8

    @property
    def is_certain(self) -> bool:
        """Whether something is said of a value here whichever alternatives apply."""
        return any(it.certain for it in self._entries)

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """Kinds that a value may be of; `integer` is left out beside `number`.

        What has `properties` is taken for an object and what has `items` for an array, also
        where no `type` says so, and what only alternatives speak of for what these say:
        another kind may pass a validator, and no policy can read it.
        """
        kinds = [(self._document.kinds(it.schema), it.certain) for it in self._entries]
        some = [found for found, certain in kinds if not certain]
        found = frozenset[Kind]().union(*some) if len(some) == len(kinds) else KINDS
        for each, certain in kinds:
            found = found & each if certain else found
        return found - {"integer"} if "number" in found else found

    @cached_property
    def names(self) -> frozenset[str]:
        """Names that an object here is said to have."""
        return frozenset(
            name for it in self._objects for name in _mapping(it, "properties")
        )

    @cached_property
    def required(self) -> frozenset[str]:
        """Names that an object here must have."""
        certain = (it.schema for it in self._entries if it.certain)
        return frozenset[str]().union(*map(self._document.required, certain))

    @cached_property
    def is_open(self) -> bool:
        """Whether an object here is said to have other names too."""
        return any(
            it.get(key, False) is not False for it in self._objects for key in _OTHER_NAMES
        ) or any(_mapping(it, "patternProperties") for it in self._objects)

    @cached_property
    def formats(self) -> frozenset[str]:
        """Formats that a text here may be said to have."""
        said = (it.get("format") for it in self._objects)
        return frozenset(it for it in said if isinstance(it, str))

    @cached_property
    def patterns(self) -> int:
        """Patterns that a text here is compared with, at most."""
        return sum(
            it.times
            for it in self._places
            if isinstance(it.schema, dict) and "pattern" in it.schema
        )

    @cached_property
    def name_weight(self) -> int:
        """Subschemas and patterns that each name of an object here is compared with."""
        patterns = sum(
            it.times * len(_mapping(it.schema, "patternProperties"))
            for it in self._places
            if isinstance(it.schema, dict)
        )
        names = (
            Place(it.schema["propertyNames"], it.times, it.certain)
            for it in self._places
            if isinstance(it.schema, dict) and _schema(it.schema, "propertyNames")
        )
        shape, times = self._document.shape(names)
        return patterns + times * shape.weight

    @cached_property
    def is_leaf(self) -> bool:
        """Whether nothing is said of the parts of a value here."""
        inner = ("properties", "prefixItems", *_EACH_NAME, *_OTHER_NAMES, *_ITEMS)
        return not any(
            it.get(key) not in (None, True, False) for it in self._objects for key in inner
        ) and not any(it.get("additionalProperties") is False for it in self._objects)

    @cached_property
    def is_flat(self) -> bool:
        """Whether an object here needs no look at its members: each is cheap to check."""
        if self.name_weight:
            return False
        work = self.weight
        for name in self.names:
            part, times = self.member(name)
            if part.patterns or not part.is_leaf:
                return False
            work += part.weight * times
        return work <= MAX_WEIGHT

    def member(self, name: str) -> tuple[Shape, int]:
        """Give the shape of a member of an object, and how often it may be visited."""
        return self._child(f".{name}" if name in self.names else "*", self._members(name))

    @property
    def item(self) -> tuple[Shape, int]:
        """Give the shape of an array's items, and how often each may be visited."""
        return self._child("[]", self._items())

    def _child(self, key: str, found: Iterator[Place]) -> tuple[Shape, int]:
        known = self._children.get(key)
        if known is None:
            known = self._children[key] = self._document.shape(found)
        return known

    def _members(self, name: str) -> Iterator[Place]:
        for schema, times, certain in self._places:
            if not isinstance(schema, dict):
                continue
            properties = _mapping(schema, "properties")
            patterns = _mapping(schema, "patternProperties")
            if name in properties:
                yield Place(properties[name], times, certain)
            for each in patterns.values():  # whether one matches is for a validator to say
                yield Place(each, times, False)
            if name not in properties:
                for key in _OTHER_NAMES:
                    if _schema(schema, key):
                        yield Place(schema[key], times, certain and not patterns)

    def _items(self) -> Iterator[Place]:
        for schema, times, certain in self._places:
            if not isinstance(schema, dict):
                continue
            for key in ("prefixItems", *_ITEMS):
                if isinstance(schema.get(key), list):
                    yield from (Place(each, times, False) for each in schema[key])
                elif _schema(schema, key):
                    each_one = key == "items" and not _list(schema, "prefixItems")
                    yield Place(schema[key], times, certain and each_one)

    @property
    def _objects(self) -> Iterator[Mapping[str, Any]]:
        return (it.schema for it in self._places if isinstance(it.schema, dict))


class Document:
    """One schema document; keeps the shapes that were asked for."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._shapes: dict[frozenset[tuple[int, bool]], Shape] = {}
        self._kinds: dict[int, frozenset[Kind]] = {}
        self._required: dict[int, frozenset[str]] = {}
        self._anchors: dict[str, Schema] | None = None

    @cached_property
    def root(self) -> Shape:
        """The shape of the arguments as a whole."""
        return self.shape(iter([Place(self._root, 1, True)]))[0]

    def shape(self, found: Iterator[Place]) -> tuple[Shape, int]:
        """Give the shape of some subschemas, and how often the commonest is visited.

        Raises `UnusableSchemaError`.
        """
        times: Counter[int] = Counter()
        entries: dict[tuple[int, bool], Place] = {}
        for it in found:
            times[id(it.schema)] += it.times
            entries[id(it.schema), it.certain] = it._replace(times=1)
        key = frozenset(entries)
        if key not in self._shapes:
            self._shapes[key] = Shape(self, entries.values())
        return self._shapes[key], max(times.values(), default=1)

    def gather(self, entries: Iterable[Place]) -> list[Place]:
        """Give all subschemas that may apply beside some, and how often each is visited."""
        gathered: list[Place] = []
        for entry in entries:
            self._visit(entry, set(), gathered)
        return gathered

    def _visit(self, place: Place, above: set[int], gathered: list[Place]) -> None:
        schema, times, certain = place
        if id(schema) in above:
            return  # a loop of `$ref`s says nothing more
        if len(gathered) >= MAX_WEIGHT:
            raise UnusableSchemaError("its `$ref`s and alternatives fan out too far")
        gathered.append(place)
        if not isinstance(schema, dict):
            return
        if schema is not self._root and isinstance(schema.get("$id"), str):
            raise UnusableSchemaError("a part of it has an `$id` of its own")
        if any(key.startswith("unevaluated") for key in schema):
            times *= _REVISITS
        below = above | {id(schema)}
        for inner in (*self._referred(schema), *_list(schema, "allOf")):
            self._visit(Place(inner, times, certain), below, gathered)
        for inner in _alternatives(schema):
            self._visit(Place(inner, times, False), below, gathered)

    def _referred(self, schema: Mapping[str, Any]) -> Iterator[Schema]:
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            reference = schema.get(key)
            if isinstance(reference, str):
                yield self.resolve(reference)

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
        for it in (*self._referred(schema), *_list(schema, "allOf")):
            found &= self.kinds(it)
        for key in _ANY:
            if branches := _list(schema, key):
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
        for it in (*self._referred(schema), *_list(schema, "allOf")):
            found |= self.required(it)
        for key in _ANY:
            if branches := _list(schema, key):
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
        at: Any = self._root
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
            self._anchors = dict(_anchors(self._root))
        if name not in self._anchors:
            raise UnusableSchemaError(f"`#{name[:200]}` leads nowhere")
        return self._anchors[name]


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Schema]:
    """Give what may apply to the same value, and may not."""
    for key in _ANY:
        yield from _list(schema, key)
    yield from (schema[key] for key in _ONE if _schema(schema, key))
    for key in ("dependentSchemas", "dependencies"):
        values = _mapping(schema, key).values()
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


def _schema(schema: Mapping[str, Any], key: str) -> bool:
    return isinstance(schema.get(key), dict | bool)


def _list(schema: Mapping[str, Any], key: str) -> list[Schema]:
    found = schema.get(key)
    return found if isinstance(found, list) else []


def _mapping(schema: Mapping[str, Any], key: str) -> Mapping[str, Schema]:
    found = schema.get(key)
    return found if isinstance(found, dict) else {}
