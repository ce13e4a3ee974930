"""What a JSON Schema says of each part of a tool's arguments, read without a value.

A `Shape` gathers every subschema that may apply to one part, through `$ref`, `allOf`,
`anyOf` and the like. What it knows is an upper bound: which names an object may have, of
which kinds a value may be, how many subschemas a validator may visit for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from bascule.decision.schema_document import (
    KINDS,
    Kind,
    Schema,
    SchemaDocument,
    UnusableSchemaError,
    alternatives,
    has_schema,
    members,
    schemas,
)

MAX_WEIGHT = 4096
"""Subschemas that may apply to one part; `$ref`s that fan out reach millions."""
MAX_PLACES = 20_000
"""Subschemas that are looked at over all parts, each time that one may apply."""
MAX_SHAPES = 8192
"""Parts that a schema may tell apart."""
_MAX_CHAIN = 128
"""Subschemas one behind the other for one value."""
_REVISITS = 3
"""`unevaluated…` makes a validator visit again what was evaluated beside it."""

_EACH_NAME = ("patternProperties",)
_OTHER_NAMES = ("additionalProperties", "unevaluatedProperties")
_ITEMS = ("items", "additionalItems", "unevaluatedItems", "contains")


class Place(NamedTuple):
    """A subschema that may apply to one part."""

    schema: Schema
    times: int
    """How often it may be visited, for one value."""
    certain: bool
    """It always applies; else it is one of several alternatives."""


class Shape:
    """One part of the arguments, and the subschemas that may apply to it."""

    def __init__(self, shapes: Shapes, entries: Iterable[Place]) -> None:
        self._shapes = shapes
        self._entries = tuple(entries)
        self._places = shapes.gather(self._entries)
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
        kinds = [
            (self._shapes.document.kinds(it.schema), it.certain) for it in self._entries
        ]
        some = [found for found, certain in kinds if not certain]
        found = frozenset[Kind]().union(*some) if len(some) == len(kinds) else KINDS
        for each, certain in kinds:
            found = found & each if certain else found
        return found - {"integer"} if "number" in found else found

    @cached_property
    def names(self) -> frozenset[str]:
        """Names that an object here is said to have."""
        return frozenset(name for it in self._objects for name in members(it, "properties"))

    @cached_property
    def required(self) -> frozenset[str]:
        """Names that an object here must have."""
        certain = (it.schema for it in self._entries if it.certain)
        return frozenset[str]().union(*map(self._shapes.document.required, certain))

    @cached_property
    def is_open(self) -> bool:
        """Whether an object here is said to have other names too."""
        return any(
            it.get(key, False) is not False for it in self._objects for key in _OTHER_NAMES
        ) or any(members(it, "patternProperties") for it in self._objects)

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
            it.times * len(members(it.schema, "patternProperties"))
            for it in self._places
            if isinstance(it.schema, dict)
        )
        names = (
            Place(it.schema["propertyNames"], it.times, it.certain)
            for it in self._places
            if isinstance(it.schema, dict) and has_schema(it.schema, "propertyNames")
        )
        shape, times = self._shapes.shape(names)
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

    def inner(self) -> Iterator[Shape]:
        """Give the shapes of all parts of a value here, and find out all that is known."""
        _ = self.kinds, self.required, self.name_weight
        yield self.item[0]
        for name in self.names:
            yield self.member(name)[0]
        other = max(self.names, default="") + "_"  # comes after all of them
        yield self.member(other)[0]

    def _child(self, key: str, found: Iterator[Place]) -> tuple[Shape, int]:
        known = self._children.get(key)
        if known is None:
            known = self._children[key] = self._shapes.shape(found)
        return known

    def _members(self, name: str) -> Iterator[Place]:
        for schema, times, certain in self._places:
            if not isinstance(schema, dict):
                continue
            properties = members(schema, "properties")
            patterns = members(schema, "patternProperties")
            if name in properties:
                yield Place(properties[name], times, certain)
            for each in patterns.values():  # whether one matches is for a validator to say
                yield Place(each, times, False)
            if name not in properties:
                for key in _OTHER_NAMES:
                    if has_schema(schema, key):
                        yield Place(schema[key], times, certain and not patterns)

    def _items(self) -> Iterator[Place]:
        for schema, times, certain in self._places:
            if not isinstance(schema, dict):
                continue
            for key in ("prefixItems", *_ITEMS):
                if isinstance(schema.get(key), list):
                    yield from (Place(each, times, False) for each in schema[key])
                elif has_schema(schema, key):
                    each_one = key == "items" and not schemas(schema, "prefixItems")
                    yield Place(schema[key], times, certain and each_one)

    @property
    def _objects(self) -> Iterator[Mapping[str, Any]]:
        return (it.schema for it in self._places if isinstance(it.schema, dict))


class Shapes:
    """The shapes of one document; keeps those that were asked for."""

    def __init__(self, root: Schema) -> None:
        self.document = SchemaDocument(root)
        self._known: dict[frozenset[tuple[int, bool]], Shape] = {}
        self._left = MAX_PLACES

    @cached_property
    def root(self) -> Shape:
        """The shape of the arguments as a whole."""
        return self.shape(iter([Place(self.document.root, 1, True)]))[0]

    def explore(self) -> Shape:
        """Make all shapes that arguments may lead to, and give that of the whole.

        So whatever is wrong with a schema is known before the first call. Raises
        `UnusableSchemaError`.
        """
        waiting, seen = [self.root], {self.root}
        while waiting:
            shape = waiting.pop()
            new = set(shape.inner()) - seen
            seen |= new
            waiting += new
            if len(seen) > MAX_SHAPES:
                raise UnusableSchemaError("it tells too many parts apart")
        return self.root

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
        if key not in self._known:
            self._known[key] = Shape(self, entries.values())
        return self._known[key], max(times.values(), default=1)

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
        if len(gathered) >= MAX_WEIGHT or len(above) >= _MAX_CHAIN:
            raise UnusableSchemaError("its `$ref`s and alternatives fan out too far")
        self._left -= 1
        if self._left < 0:
            raise UnusableSchemaError("it says too much of too many parts")
        gathered.append(place)
        if not isinstance(schema, dict):
            return
        if schema is not self.document.root and isinstance(schema.get("$id"), str):
            raise UnusableSchemaError("a part of it has an `$id` of its own")
        if any(key.startswith("unevaluated") for key in schema):
            times *= _REVISITS
        below = above | {id(schema)}
        for inner in self.document.together(schema):
            self._visit(Place(inner, times, certain), below, gathered)
        for inner in alternatives(schema):
            self._visit(Place(inner, times, False), below, gathered)
