"""MCP 2025-03-26 to 2025-11-25 on the wire: the revisions that begin with `initialize`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from bascule.protocol.message import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    Error,
    MessageId,
    Request,
    encode,
)
from bascule.protocol.modern import ProtocolError

SUPPORTED = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Newest first."""
LATEST = SUPPORTED[0]
UNSAID = "2025-03-26"
"""What a request without `MCP-Protocol-Version` speaks (MCP 2025-06-18, transports)."""

INITIALIZE = "initialize"
LISTENING = "subscriptions/listen"
"""What 2026-07-28 calls it to open a stream for whatever the server has to say; here that
is an HTTP GET, and has no method of its own."""

NAME_PARAMETER: Mapping[str, str] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
"""Methods whose request names one thing, and the parameter that does."""

LISTS = frozenset(
    {"tools/list", "prompts/list", "resources/list", "resources/templates/list"}
)

CLIENT_NOTIFICATIONS = frozenset(
    {
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)
"""What a client may say without being asked; anything else is not passed on."""

ASKS: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask a client, and the capability that the client declares for it."""

URL_ELICITATION = "elicitation/url"
"""Beside `elicitation`: the client also sends its user to pages (MCP 2025-11-25)."""

_UNCARRIED = ("tasks",)
"""Client capabilities whose methods are not carried."""

_message_id = msgspec.json.Decoder(MessageId)


def check_initialize(request: Request) -> str:
    """Check an `initialize` and give the revision to offer the server for it.

    Raises `ProtocolError`.
    """
    requested = request.params.get("protocolVersion")
    if not isinstance(requested, str):
        raise invalid_params("`params.protocolVersion` must be a string")
    if not isinstance(request.params.get("capabilities"), dict):
        raise invalid_params("`params.capabilities` must be an object")
    return requested if requested in SUPPORTED else LATEST


def check_version(header: bytes | None) -> None:
    """Refuse a header that names another revision. Raises `ProtocolError`."""
    if header is not None and header.decode("latin-1") not in SUPPORTED:
        supported = ", ".join(SUPPORTED)
        problem = Error(
            INVALID_REQUEST,
            f"`MCP-Protocol-Version` is not supported; there are {supported}",
        )
        raise ProtocolError(400, problem)


def check(request: Request) -> None:
    """Check that a request names what its method is about. Raises `ProtocolError`."""
    parameter = NAME_PARAMETER.get(request.method)
    if parameter is not None and not isinstance(request.params.get(parameter), str):
        raise invalid_params(f"`params.{parameter}` must be a string")


def declared_asks(capabilities: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the asks that a client is ready for, by the capability's name."""
    asks = tuple(name for name in ASKS.values() if name in capabilities)
    return (*asks, URL_ELICITATION) if elicits_urls(capabilities) else asks


def elicits_urls(capabilities: Mapping[str, Any]) -> bool:
    """Tell whether a client sends its user to a page when asked; at every revision."""
    elicitation = capabilities.get("elicitation")
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)


def carried_capabilities(
    capabilities: Mapping[str, Any], may_ask: tuple[str, ...]
) -> dict[str, Any]:
    """Leave out what the server may not ask and what is not carried at all."""
    out = {*_UNCARRIED, *ASKS.values()} - set(may_ask)
    return {name: value for name, value in capabilities.items() if name not in out}


def is_id(value: Any) -> TypeGuard[MessageId]:
    """Tell whether a decoded value may be an id or a progress token."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def upstream_id(tag: str, method: str, client_id: MessageId) -> str:
    """Write the id that a request has upstream.

    It holds all that is needed to map the answer back, by any process and at any later
    time: the session's tag, so that ids of two sessions never meet, the method where the
    passing of the answer depends on it, and the client's own id.
    """
    named = f"{method}." if method in LISTS else ""
    return f"{tag}.{named}{encode(client_id).decode()}"


def client_id_of(tag: str, written: Any) -> tuple[str, MessageId] | None:
    """Read an id that `upstream_id` wrote for this tag: method, or "", and client's id."""
    if not isinstance(written, str) or not written.startswith(f"{tag}."):
        return None
    rest = written[len(tag) + 1 :]
    method = next((name for name in LISTS if rest.startswith(f"{name}.")), "")
    try:
        return method, _message_id.decode(rest[len(method) + bool(method) :])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def invalid_params(message: str) -> ProtocolError:
    """Say what is wrong with the parameters."""
    return ProtocolError(400, Error(INVALID_PARAMS, message))
