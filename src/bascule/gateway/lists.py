"""Lists of tools, prompts and resources, as upstreams give them: read once while the same.

Lists are long, and asked for far more often than they change. What was read of some bytes
would be read of them again, so a result that is, byte for byte, the last one of its method
is not read again. Who may see what of it is decided each time, see `results.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bascule.decision.facts import Kind
from bascule.decision.gate import DefinitionKind
from bascule.gateway.access_marks import without_mark

MAX_BYTES = 1 << 20
"""Longer results are read each time: one is kept for each upstream and method."""


class _Named(Struct, gc=False):
    name: str


class _Located(Struct, gc=False):
    uri: str


class _Templated(Struct, gc=False):
    uri: str = msgspec.field(name="uriTemplate")


@dataclass(frozen=True, slots=True)
class ListShape:
    """Where the result of a list method has its items, and what they are used by."""

    key: str
    kind: Kind
    names: msgspec.json.Decoder[Any]
    attribute: str
    pinned: DefinitionKind | None = None
    """None where what is listed is data, not definitions."""


LISTS: Mapping[str, ListShape] = {
    "tools/list": ListShape(
        "tools", "tool", msgspec.json.Decoder(list[_Named]), "name", "tools"
    ),
    "prompts/list": ListShape(
        "prompts", "prompt", msgspec.json.Decoder(list[_Named]), "name", "prompts"
    ),
    "resources/list": ListShape(
        "resources", "resource", msgspec.json.Decoder(list[_Located]), "uri"
    ),
    "resources/templates/list": ListShape(
        "resourceTemplates",
        "resource",
        msgspec.json.Decoder(list[_Templated]),
        "uri",
        "resourceTemplates",
    ),
}
_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


class ReadList(Struct, frozen=True):
    """The result of a list method, taken apart."""

    fields: Mapping[str, Raw]
    """All of the result."""
    names: list[str]
    """Of each item what it is used by: its name, URI or template."""
    items: list[Raw]
    """As many."""
    shown: list[Raw]
    """The same for clients: without marks that only Bascule sets."""


class SeenLists:
    """The last list of each method that one upstream gave."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Raw, ReadList]] = {}

    def read(self, method: str, result: Raw) -> ReadList:
        """Take the result of a list method apart.

        Raises `msgspec.DecodeError`, UnicodeDecodeError or RecursionError for one of the
        wrong shape.
        """
        last = self._last.get(method)
        if last is not None and last[0] == result:
            return last[1]
        kept = result.copy()  # of its own, or all of the answer would be kept
        found = _take_apart(kept, LISTS[method])
        if len(memoryview(kept)) <= MAX_BYTES:
            self._last[method] = kept, found
        return found


def _take_apart(result: Raw, shape: ListShape) -> ReadList:
    fields = _fields.decode(result)
    listed = fields.get(shape.key, Raw(b"[]"))
    named = shape.names.decode(listed)
    names = [getattr(item, shape.attribute) for item in named]
    items = _items.decode(listed)
    return ReadList(fields, names, items, list(map(without_mark, items)))
