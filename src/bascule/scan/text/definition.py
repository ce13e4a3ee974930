"""The texts of a definition that a model reads, whatever its parts are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bascule.scan.text.reading import plain_name

_SAYING = frozenset({"description", "desc", "title", "$comment", "instructions"})
_VALUES = frozenset({"default", "enum", "const", "examples", "example", "pattern"})
_PARTS = (
    "input_schema",
    "inputSchema",
    "parameters",
    "output_schema",
    "outputSchema",
    "annotations",
    "arguments",
)
MAX_DEPTH = 64


class Said(NamedTuple):
    """One text of a definition."""

    where: str
    """Keys that lead to it, with dots between."""
    text: str
    of_parameter: bool


def texts_of(definition: Mapping[str, Any]) -> Iterator[Said]:
    """Give all texts of a definition that reach a model."""
    for key in ("title", "description", "instructions"):
        text = definition.get(key)
        if isinstance(text, str) and text:
            yield Said(key, text, of_parameter=False)
    for key in _PARTS:
        if key in definition:
            yield from _below(definition[key], key, 0)


def parameters_of(definition: Mapping[str, Any]) -> frozenset[str]:
    """Give the names of a definition's own parameters, lower case."""
    found: set[str] = set()
    for key in ("input_schema", "inputSchema", "parameters"):
        schema = definition.get(key)
        if isinstance(schema, Mapping):
            inner = schema.get("properties")
            names = inner if isinstance(inner, Mapping) else schema
            found |= {plain_name(str(name)) for name in names}
    return frozenset(found)


def _below(value: Any, where: str, depth: int) -> Iterator[Said]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for key, child in value.items():
            name = str(key)
            if " " in name:
                yield Said(where, name, of_parameter=True)
            at = f"{where}.{name}"
            if name in _SAYING and isinstance(child, str):
                yield Said(at, child, of_parameter=True)
            elif name in _VALUES:
                yield from (
                    Said(at, it, of_parameter=True) for it in _strings(child, depth)
                )
            else:
                yield from _below(child, at, depth + 1)
    elif isinstance(value, list):
        for child in value:
            yield from _below(child, where, depth + 1)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if " " in value or len(value) > 15:
            yield value
    elif depth < MAX_DEPTH and isinstance(value, list | Mapping):
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(child, depth + 1)
