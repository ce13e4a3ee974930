"""The arguments of a call as somebody reads them who has to answer for it.

All of them, untruncated, one value after another with its place. Nothing in a text can
hide, pass for something else or look like more of the page: what is not seen as itself is
written as an escape, a text stands between quotation marks, and a line of it ends where the
escape of a line end says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.lock.invisible import confusable, quoted, unseen, visible
from bascule.lock.schema_changes import escaped

_PLAIN_PLACE = re.compile(r"[A-Za-z0-9_./~-]+")


@dataclass(frozen=True, slots=True)
class Argument:
    """One value."""

    place: str
    """Names that lead to it, as a JSON Pointer (RFC 6901) without its first slash; between
    quotation marks if there is anything unusual about it."""
    value: str
    """A text between quotation marks, or another value in JSON."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """All values, and what somebody should know before reading them."""

    values: tuple[Argument, ...]
    characters: int
    """Of names and texts."""
    hidden: int
    """Of these, how many are not seen as what they are."""


def readable(arguments: Mapping[str, Any]) -> Arguments:
    """Write arguments for people."""
    texts = list(_texts(arguments))
    return Arguments(
        values=tuple(_values(arguments, "")),
        characters=sum(map(len, texts)),
        hidden=sum(len(unseen(it)) + len(confusable(it)) for it in texts),
    )


def _values(value: Any, place: str) -> Iterator[Argument]:
    """Give the values in the order of their names; lists of plain values stay together."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from _values(child, f"{place}/{escaped(name)}")
    elif isinstance(value, list) and any(isinstance(it, str | dict | list) for it in value):
        for index, child in enumerate(value):
            yield from _values(child, f"{place}/{index}")
    elif place:
        yield Argument(_named(place[1:]), _written(value))


def _named(place: str) -> str:
    return place if _PLAIN_PLACE.fullmatch(place) else quoted(place)


def _written(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    lines = (visible(line).replace('"', '\\"') for line in value.split("\n"))
    return '"' + "\\n\n".join(lines) + '"'


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield name
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
