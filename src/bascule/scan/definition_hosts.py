"""Hosts that a tool's definition says it works with: values that its schema proposes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bascule.config.addresses import web_address

MAX_DEPTH = 32
_PROPOSED = ("default", "const", "enum", "examples")
"""Keywords of JSON Schema whose values go to the server as they stand."""


def hosts_of(definition: Mapping[str, Any]) -> Iterator[str]:
    """Give the hosts of URLs that the input schema proposes; the rest is only words."""
    yield from dict.fromkeys(_hosts(definition.get("inputSchema"), MAX_DEPTH))


def _hosts(schema: Any, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(schema, list):
        for it in schema:
            yield from _hosts(it, depth - 1)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key in _PROPOSED:
                yield from _proposed(value)
            else:
                yield from _hosts(value, depth - 1)


def _proposed(value: Any) -> Iterator[str]:
    for it in value if isinstance(value, list) else [value]:
        parts = web_address(it) if isinstance(it, str) else None
        if parts is not None and parts.hostname is not None:
            yield parts.hostname
