"""Why a TOML document does not have the shape of a `Config`, at every place at once.

msgspec decides whether it has; it stops at the first problem and names no keys of mappings,
so that what it refused is walked through here.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import fields

from bascule.config.paths import below
from bascule.config.table import Table

Found = Iterator[tuple[str, str]]
"""Path and sentence of each problem."""


def shape_problems(value: Any, kind: Any, path: str = "") -> Found:
    """Give each place below `path` whose value is not what `kind` says."""
    kind = _fitting(kind, value)
    if isinstance(kind, type) and issubclass(kind, Table):
        yield from _of_table(value, kind, path)
    elif get_origin(kind) is dict and isinstance(value, dict):
        key_kind, entry_kind = get_args(kind)
        for key, entry in value.items():
            yield from shape_problems(key, key_kind, below(path, key))
            yield from shape_problems(entry, entry_kind, below(path, key))
    elif get_origin(kind) is tuple and isinstance(value, list):
        for place, entry in enumerate(value):
            yield from shape_problems(entry, get_args(kind)[0], f"{path}[{place}]")
    else:
        yield from _of_value(value, kind, path)


def _of_table(value: Any, kind: type[Table], path: str) -> Found:
    if not isinstance(value, dict):
        yield path, "must be a table"
        return
    kinds = get_type_hints(kind, include_extras=True)
    for key, entry in value.items():
        if key in kinds:
            yield from shape_problems(entry, kinds[key], below(path, key))
        else:
            yield below(path, key), "is no setting that Bascule knows"
    for field in fields(kind):
        if field.required and field.name not in value:
            yield below(path, field.name), "is missing"


def _of_value(value: Any, kind: Any, path: str) -> Found:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        sentence = str(exc)
        yield path, _wanted(kind) or sentence[:1].lower() + sentence[1:]


def _wanted(kind: Any) -> str:
    """Say what would be right where msgspec would repeat the value or a pattern."""
    if get_origin(kind) is Literal:
        return f"must be {' or '.join(f'`{value}`' for value in get_args(kind))}"
    if get_origin(kind) is not Annotated:
        return ""
    said = [it.description for it in get_args(kind)[1:] if isinstance(it, Meta)]
    return f"must be {said[0]}" if said and said[0] else ""


def _fitting(kind: Any, value: Any) -> Any:
    """Give the alternative that a value is meant for: TOML has no null, tables say so."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return kind
    kinds = [it for it in get_args(kind) if it is not types.NoneType]
    tables = [it for it in kinds if isinstance(it, type) and issubclass(it, Table)]
    if len(kinds) > 1 and isinstance(value, dict):
        return tables[0]
    return next((it for it in kinds if it not in tables), kinds[0])
