"""How a conversation with a process begins, in each era; see MCP 2026-07-28, versioning."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec import Raw

from bascule.errors import BasculeError
from bascule.launch.peer import Peer
from bascule.protocol import modern
from bascule.protocol.message import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    Error,
)

HANDSHAKE_REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions that begin with `initialize`; newest first."""
_MODERN_ERRORS = frozenset({HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION})
"""Errors that only a server of the modern era gives."""


class EraRefusedError(BasculeError):
    """The server does not speak the era it was asked for; `error` is for the client."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class _Discovered(msgspec.Struct):
    versions: list[str] = msgspec.field(name="supportedVersions")


def handshake_revision(asked: object) -> str:
    """Give the revision to ask a server for; one that we do not know becomes the newest."""
    known = isinstance(asked, str) and asked in HANDSHAKE_REVISIONS
    return str(asked) if known else HANDSHAKE_REVISIONS[0]


def client_info() -> dict[str, str]:
    """Say who is at the other end when it is us."""
    return {"name": "bascule", "version": version("bascule")}


async def discover(peer: Peer) -> Raw:
    """Open a modern conversation. Gives what the server says of itself.

    A result or an error that only the modern era has is a yes; whatever else is answered is
    a no, whichever its code. Raises `EraRefusedError`, or `CallError`.
    """
    meta = {
        modern.PROTOCOL_VERSION: modern.VERSION,
        modern.CLIENT_CAPABILITIES: {},
        "io.modelcontextprotocol/clientInfo": client_info(),
    }
    reply = await peer.call(0, "server/discover", {modern.META: meta}).next()
    if isinstance(reply.error, Error):
        if reply.error.code not in _MODERN_ERRORS:
            raise EraRefusedError(_speaks_no_modern())
        if reply.error.code == UNSUPPORTED_VERSION:
            raise EraRefusedError(reply.error)
        return Raw(b"{}")
    try:
        assert isinstance(reply.result, Raw)  # noqa: S101 - a response that is no error
        found = msgspec.json.decode(reply.result, type=_Discovered)
    except msgspec.DecodeError as exc:
        raise EraRefusedError(_speaks_no_modern()) from exc
    if modern.VERSION not in found.versions:
        raise EraRefusedError(_speaks_no_modern())
    return reply.result


async def initialize(
    peer: Peer,
    revision: str,
    capabilities: Mapping[str, Any],
    info: Mapping[str, Any] | None,
) -> Raw:
    """Open a conversation of the older era. Gives the result of `initialize`.

    Raises `EraRefusedError`, or `CallError`.
    """
    params = {
        "protocolVersion": revision,
        "capabilities": capabilities,
        "clientInfo": info or client_info(),
    }
    reply = await peer.call(0, "initialize", params).next()
    if isinstance(reply.error, Error):
        raise EraRefusedError(reply.error)
    assert isinstance(reply.result, Raw)  # noqa: S101 - a response that is no error
    peer.notify("notifications/initialized", {})
    return reply.result


def _speaks_no_modern() -> Error:
    return Error(
        INVALID_REQUEST,
        f"the server does not speak {modern.VERSION}: begin with `initialize`",
    )
