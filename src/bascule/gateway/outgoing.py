"""The request that goes upstream, made from what was parsed and decided."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from bascule.clock import UnixTime
from bascule.config.model import Connector
from bascule.decision.facts import Principal
from bascule.gateway.exchange import Headers, header_block
from bascule.gateway.handles import InvalidHandleError, Sealer
from bascule.protocol import header_value, modern
from bascule.protocol.message import INVALID_PARAMS, Error, MessageId, Request

CURSOR_METHODS = frozenset(
    {"tools/list", "prompts/list", "resources/list", "resources/templates/list"}
)
_ASKS = ("elicitation", "sampling", "roots")


class Outgoing(Struct, frozen=True, gc=False):
    """A request for an upstream, with what is needed to map the answer back."""

    message_id: int
    """The upstream's JSON-RPC id; the client keeps its own."""
    method: str
    params: dict[str, Any]
    headers: Headers
    client_id: MessageId
    client_progress_token: MessageId | None
    """Put back into progress notifications; upstream it is `message_id`."""


def outgoing(
    request: Request,
    connector: Connector,
    *,
    message_id: int,
    binding: tuple[str, ...],
    sealer: Sealer,
    now: UnixTime,
    param_headers: Headers = b"",
) -> Outgoing:
    """Make the upstream's request; `param_headers` are those that repeat arguments.

    Ids and progress tokens are ours, so that those of different callers never meet. Handles
    are opened. Capabilities are those of this request, less what the connector may not ask.
    Raises `ProtocolError` for a handle that is not this caller's.
    """
    params = dict(request.params)
    token = _rewrite_meta(params, connector, message_id)
    open_handle(params, request.method, binding, sealer, now)
    return Outgoing(
        message_id=message_id,
        method=request.method,
        params=params,
        headers=_headers(request) + param_headers,
        client_id=request.id,
        client_progress_token=token,
    )


def without_progress(params: dict[str, Any]) -> dict[str, Any]:
    """Take out the wish for progress, where there is no stream for it."""
    meta = params.get(modern.META)
    if not isinstance(meta, dict) or modern.PROGRESS_TOKEN not in meta:
        return params
    kept = {key: value for key, value in meta.items() if key != modern.PROGRESS_TOKEN}
    return {**params, modern.META: kept}


def handle_binding(principal: Principal, connector: str, method: str) -> tuple[str, ...]:
    """Give what a cursor or `requestState` is bound to."""
    return principal.user or "", principal.agent, connector, method


def _rewrite_meta(
    params: dict[str, Any], connector: Connector, message_id: int
) -> MessageId | None:
    meta = params[modern.META]
    capabilities = meta[modern.CLIENT_CAPABILITIES]
    if not capabilities and modern.PROGRESS_TOKEN not in meta:
        return None  # as it mostly is: nothing to change
    meta = params[modern.META] = dict(meta)
    meta[modern.CLIENT_CAPABILITIES] = carried_capabilities(capabilities, connector)
    if modern.PROGRESS_TOKEN not in meta:
        return None
    token = meta.pop(modern.PROGRESS_TOKEN)
    if isinstance(token, bool) or not isinstance(token, int | str):
        return None
    meta[modern.PROGRESS_TOKEN] = message_id
    return token


def carried_capabilities(
    capabilities: Mapping[str, Any], connector: Connector
) -> Mapping[str, Any]:
    """Give a client's capabilities, less what the connector may not ask."""
    refused = [it for it in _ASKS if it in capabilities and it not in connector.may_ask]
    if not refused:
        return capabilities
    return {key: value for key, value in capabilities.items() if key not in refused}


def open_handle(
    params: dict[str, Any],
    method: str,
    binding: tuple[str, ...],
    sealer: Sealer,
    now: UnixTime,
) -> None:
    """Put the upstream's own bytes in the place of a handle that was sealed here.

    Raises `ProtocolError` for one that is not this caller's.
    """
    key = "requestState" if method in modern.MAY_ASK_FOR_INPUT else "cursor"
    if key == "cursor" and method not in CURSOR_METHODS:
        return
    sealed = params.get(key)
    if sealed is None:
        params.pop(key, None)
        return
    try:
        if not isinstance(sealed, str):
            raise InvalidHandleError("handle is no text")
        params[key] = sealer.open(sealed, bound_to=binding, now=now)
    except InvalidHandleError as exc:
        problem = Error(INVALID_PARAMS, f"`{key}` is not valid here or has expired")
        raise modern.ProtocolError(400, problem) from exc


def _headers(request: Request) -> Headers:
    block = _constant_headers(request.method)
    parameter = modern.NAME_PARAMETER.get(request.method)
    if parameter is not None:
        block += b"Mcp-Name: %b\r\n" % header_value.encode(request.params[parameter])
    return block


@cache
def _constant_headers(method: str) -> Headers:
    """Write what is the same for each request; only known methods come here."""
    return header_block(
        (b"Content-Type", b"application/json"),
        (b"Accept", b"application/json, text/event-stream"),
        (b"MCP-Protocol-Version", modern.VERSION.encode()),
        (b"Mcp-Method", method.encode()),
    )
