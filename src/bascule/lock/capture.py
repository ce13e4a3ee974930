"""Capturing the whole surface of a server: in each era, as clients of all kinds see it.

Real servers show more tools to clients that can do more. So each is asked by a client that
can do nothing and by one that can do everything, each in a conversation of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bascule.launch.opening import HANDSHAKE_REVISIONS, client_info
from bascule.lock.join import join
from bascule.lock.model import Surface
from bascule.lock.surface import Document, pins
from bascule.lock.view import CaptureError, Conversation, View, modern_meta, read_view
from bascule.protocol import modern

SECONDS = 120.0
"""For everything."""
PROBE_SECONDS = 20.0
"""For the first answer in an era, which the server may not speak."""

NOTHING: Mapping[str, Any] = {}
EVERYTHING: Mapping[str, Any] = {
    "roots": {"listChanged": True},
    "sampling": {"context": {}, "tools": {}},
    "elicitation": {"form": {}, "url": {}},
    "tasks": {
        "list": {},
        "cancel": {},
        "requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}},
    },
    "extensions": {
        "io.modelcontextprotocol/tasks": {},
        "io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]},
    },
}
"""Capabilities of a client that can do all that servers look for."""

_WAYS = [
    (revision, capabilities)
    for revision in (modern.VERSION, HANDSHAKE_REVISIONS[0])
    for capabilities in (NOTHING, EVERYTHING)
]

Connect = Callable[[str], AbstractAsyncContextManager[Conversation]]
"""Begins a conversation of its own for a revision, and ends it. Raises `CaptureError`."""


@dataclass(frozen=True, slots=True)
class CapturedSurface:
    """What a server serves."""

    document: Document
    pins: Surface


class _Discovered(Struct):
    versions: list[str] = msgspec.field(name="supportedVersions")


class _Begun(Struct):
    version: str = msgspec.field(name="protocolVersion")


async def capture(
    connect: Connect,
    environment: Mapping[str, str],
    *,
    seen_by: str = "",
    seconds: float = SECONDS,
    probe_seconds: float = PROBE_SECONDS,
) -> CapturedSurface:
    """Ask a server for all that it serves.

    `environment` is what it was started with, with references in the place of secrets;
    `seen_by` names the sandbox. Raises `CaptureError` when it speaks no era, fails on the
    way, does not end, or takes too long.
    """
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_see(connect, *way, seconds=probe_seconds))
                for way in _WAYS
            ]
    except TimeoutError as exc:
        raise CaptureError(f"the server has not shown all within {seconds:g} s") from exc
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    found = [task.result() for task in tasks]
    views = [view for view in found if isinstance(view, View)]
    if not views:
        raise next(it for it in reversed(found) if isinstance(it, CaptureError))
    document = join(views, environment)
    return CapturedSurface(document, pins(document, seen_by=seen_by))


async def _see(
    connect: Connect, revision: str, capabilities: Mapping[str, Any], *, seconds: float
) -> View | CaptureError:
    """See a server in one way; gives the problem when it cannot be seen so at all.

    What comes later is no matter of eras any more: it raises `CaptureError`.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(seconds):
                talk = await stack.enter_async_context(connect(revision))
                opening, spoken = await _open(talk, revision, capabilities)
        except CaptureError as exc:
            return exc
        except TimeoutError:
            return CaptureError(f"the server is silent for {seconds:g} s at first")
        return await read_view(
            talk, revision=spoken, capabilities=capabilities, opening=opening
        )


async def _open(
    talk: Conversation, revision: str, capabilities: Mapping[str, Any]
) -> tuple[Raw, str]:
    """Begin to talk; gives what the server says of itself, and the revision it speaks."""
    try:
        if revision == modern.VERSION:
            meta = {modern.META: modern_meta(capabilities)}
            opening = await talk.request("server/discover", meta)
            if revision in msgspec.json.decode(opening, type=_Discovered).versions:
                return opening, revision
        else:
            params = {
                "protocolVersion": revision,
                "capabilities": capabilities,
                "clientInfo": client_info(),
            }
            opening = await talk.request("initialize", params)
            spoken = msgspec.json.decode(opening, type=_Begun).version
            if spoken in HANDSHAKE_REVISIONS:
                await talk.notify("notifications/initialized", {})
                return opening, spoken
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise CaptureError("the server begins with no valid answer") from exc
    raise CaptureError("the server speaks no revision that is known here")
