"""Headers that repeat arguments must say the same (MCP 2026-07-28, custom headers).

A server on standard streams sees no headers. So its host compares them, by the schemas of
the tools that the server has listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from bascule.errors import BasculeError
from bascule.protocol import header_value
from bascule.protocol.message import HEADER_MISMATCH, Error
from bascule.protocol.modern import ProtocolError

KEYWORD = "x-mcp-header"
_TYPES = frozenset({"string", "integer", "boolean"})
_DEEPEST = 16

Mirrored = dict[str, tuple[tuple[bytes, tuple[str, ...]], ...]]
"""By tool: header in lower case, and the place of the argument that it repeats."""


class _Tool(msgspec.Struct):
    name: str
    schema: Any = msgspec.field(name="inputSchema", default=None)


class _Tools(msgspec.Struct):
    tools: list[_Tool]


def learn(result: Raw, known: Mirrored) -> None:
    """Take up what a page of tools says; one of the wrong shape says nothing."""
    if not known and KEYWORD.encode() not in bytes(result):
        return
    try:
        listed = msgspec.json.decode(result, type=_Tools)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for tool in listed.tools:
        known.pop(tool.name, None)
        if found := tuple(_mirrored(tool.schema, ())):
            known[tool.name] = found


def _mirrored(
    schema: object, place: tuple[str, ...]
) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(place) > _DEEPEST:
        return
    for name, part in properties.items():
        if not isinstance(part, dict):
            continue
        header = part.get(KEYWORD)
        if isinstance(header, str) and header.isascii() and part.get("type") in _TYPES:
            yield f"mcp-param-{header.lower()}".encode(), (*place, name)
        yield from _mirrored(part, (*place, name))


def check(
    params: Mapping[str, Any], headers: Mapping[bytes, bytes], known: Mirrored
) -> None:
    """Compare the headers of a `tools/call`. Raises `ProtocolError`."""
    for header, place in known.get(str(params.get("name")), ()):
        if not _agree(_argument(params.get("arguments"), place), headers.get(header)):
            name = header.decode("ascii")
            problem = Error(HEADER_MISMATCH, f"`{name}` must be the argument of the body")
            raise ProtocolError(400, problem)


def _argument(arguments: object, place: tuple[str, ...]) -> object:
    value = arguments
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _agree(argument: object, header: bytes | None) -> bool:
    if argument is None or header is None:
        return argument is None and header is None
    try:
        text = header_value.decode(header)
        match argument:
            case bool():
                return text == str(argument).lower()
            case int():
                return int(text) == argument
            case _:
                return text == argument
    except (BasculeError, ValueError):
        return False
