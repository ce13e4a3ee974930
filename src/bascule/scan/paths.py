"""Where on a port MCP may be: it fixes no path, so the usual ones and what a site names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bascule.scan.eras import read_object
from bascule.scan.event_talk import path_here
from bascule.scan.wire import Answered, Place

PATHS = (
    "/mcp",
    "/",
    "/sse",
    "/mcp/sse",
    "/messages",
    "/message",
    "/mcp/",
    "/api/mcp",
    "/api/v1/mcp",
    "/v1/mcp",
    "/mcp/v1",
    "/mcp/http",
    "/http",
    "/rpc",
    "/jsonrpc",
    "/gradio_api/mcp/",
    "/gradio_api/mcp/sse",
    "/stream",
)
"""The likeliest first."""

STREAM_PATHS = ("/sse", "/mcp/sse", "/", "/gradio_api/mcp/sse")
"""Those where a stream of 2024-11-05 is looked for unasked."""

MESSAGE_PATHS = ("/messages", "/message")
"""Those where a server of 2024-11-05 usually takes messages; without a session some say
nothing at all."""

NOWHERE = "/bascule-probe-finds-nothing-here"
"""What a server that answers it like an endpoint takes any path for one."""

RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
WELL_KNOWN = (RESOURCE_METADATA, "/.well-known/mcp", "/.well-known/mcp.json")

MAX_HINTS = 10
_MAX_PATH = 256
_LINK = re.compile(
    r"""["'](/[^"'\s<>\\]{0,200}?(?:mcp|sse)(?:[/?#][^"'\s<>\\]{0,50})?)["']"""
)


def hints(place: Place, path: str, answered: Answered) -> tuple[str, ...]:
    """Give paths at this place that an answer names: a redirect, metadata, a page."""
    found = dict.fromkeys(
        it
        for reference in _references(answered)
        if (it := path_here(place, path, reference).partition("?")[0])
        and len(it) <= _MAX_PATH
        and it not in {*PATHS, *WELL_KNOWN, path}
    )
    return tuple(found)[:MAX_HINTS]


def _references(answered: Answered) -> Iterator[str]:
    location = answered.header("location")
    if 300 <= answered.status < 400 and location is not None:
        yield location
    if answered.status != 200:
        return
    if answered.media_type == "application/json":
        yield from _addresses(read_object(answered.body), 4)
    elif answered.media_type == "text/html":
        yield from _LINK.findall(answered.body[: 256 << 10].decode("latin-1"))


def _addresses(value: Any, depth: int) -> Iterator[str]:
    """Give the strings of a document that may be where a server is."""
    if isinstance(value, str):
        if value.startswith(("/", "http://", "https://")):
            yield value
    elif depth and isinstance(value, dict | list):
        for it in value.values() if isinstance(value, dict) else value:
            yield from _addresses(it, depth - 1)
