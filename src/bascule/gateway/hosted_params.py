"""Headers that repeat arguments must say the same (MCP 2026-07-28, custom headers).

A server on standard streams sees no headers. So its host compares them, by the schemas of
the tools that the server has listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from bascule.gateway import param_headers

Mirrored = dict[str, param_headers.Repeated]
"""By tool."""


class _Tool(msgspec.Struct):
    name: str
    schema: Any = msgspec.field(name="inputSchema", default=None)


class _Tools(msgspec.Struct):
    tools: list[_Tool]


def learn(result: Raw, known: Mirrored) -> None:
    """Take up what a page of tools says; one of the wrong shape says nothing."""
    if not known and param_headers.KEYWORD.encode() not in bytes(result):
        return
    try:
        listed = msgspec.json.decode(result, type=_Tools)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for tool in listed.tools:
        known.pop(tool.name, None)
        if found := tuple(param_headers.repeated_by(tool.schema, ())):
            known[tool.name] = found


def check(
    params: Mapping[str, Any], headers: Mapping[bytes, bytes], known: Mirrored
) -> None:
    """Compare the headers of a `tools/call`. Raises `ProtocolError`."""
    repeated = known.get(str(params.get("name")), ())
    param_headers.check(params.get("arguments"), headers, repeated)
