"""MCP 2026-07-28 on the wire: what a request must say of itself, in body and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bascule.errors import BasculeError
from bascule.protocol.header_value import HeaderValueError, decode
from bascule.protocol.message import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    Error,
    MalformedMessageError,
    Message,
    Request,
    Response,
)

VERSION = "2026-07-28"
SUPPORTED = (VERSION,)

META = "_meta"
PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
PROGRESS_TOKEN = "progressToken"  # noqa: S105 - a protocol key, no secret

NAME_PARAMETER: Mapping[str, str] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
}
"""Methods whose request mirrors one parameter in `Mcp-Name`."""

REMOVED = frozenset(
    {
        "initialize",
        "notifications/initialized",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    }
)
"""Methods of older revisions that this one does not have."""

MAY_ASK_FOR_INPUT = frozenset(NAME_PARAMETER)
"""Methods whose result may be `input_required`."""


class ProtocolError(BasculeError):
    """A message that breaks a rule of the revision; `status` is the HTTP status."""

    def __init__(self, status: int, error: Error) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


class MirrorHeaders(Struct, frozen=True, gc=False):
    """The headers that repeat what the body says; None where absent."""

    version: bytes | None
    method: bytes | None
    name: bytes | None


def is_modern(message: Message, headers: MirrorHeaders) -> bool:
    """Tell the era: the body decides, the version header only where the body is silent."""
    if not isinstance(message, Response):
        meta = message.params.get(META)
        if isinstance(meta, dict) and PROTOCOL_VERSION in meta:
            return True
        if message.method == "initialize":
            return False
    return headers.version == VERSION.encode()


def check(message: Message, headers: MirrorHeaders) -> None:
    """Check one message against the rules of this revision.

    The order is the suite's: what the body lacks, agreement of headers and body, version,
    then removed methods. Raises `ProtocolError`, or `MalformedMessageError` for a
    response, which this revision does not have.
    """
    if isinstance(message, Response):
        raise MalformedMessageError(
            INVALID_REQUEST, "responses are not accepted", message.id
        )
    version = _check_meta(message.params) if isinstance(message, Request) else VERSION
    _check_mirrors(message, headers, version)
    if version not in SUPPORTED:
        raise unsupported_version(version)
    if message.method in REMOVED:
        raise method_not_found()


def _check_meta(params: Mapping[str, Any]) -> str:
    meta = params.get(META)
    if not isinstance(meta, dict):
        raise _invalid_params("`params._meta` is missing")
    version = meta.get(PROTOCOL_VERSION)
    if not isinstance(version, str):
        raise _invalid_params(f"`params._meta` lacks `{PROTOCOL_VERSION}`")
    if not isinstance(meta.get(CLIENT_CAPABILITIES), dict):
        raise _invalid_params(f"`params._meta` lacks `{CLIENT_CAPABILITIES}`")
    return version


def _check_mirrors(message: Message, headers: MirrorHeaders, version: str) -> None:
    if headers.version is None or headers.version != version.encode():
        raise _mismatch("`MCP-Protocol-Version` must be the version of the body")
    if not isinstance(message, Request):
        return
    if headers.method is None or headers.method != message.method.encode():
        raise _mismatch("`Mcp-Method` must be the method of the body")
    parameter = NAME_PARAMETER.get(message.method)
    if parameter is None:
        return
    value = message.params.get(parameter)
    if not isinstance(value, str):
        raise _invalid_params(f"`params.{parameter}` must be a string")
    if headers.name is None:
        raise _mismatch("`Mcp-Name` is missing")
    if headers.name == value.encode() and value.isascii() and not value.startswith("=?"):
        return
    try:
        named = decode(headers.name)
    except HeaderValueError as exc:
        raise _mismatch("`Mcp-Name` cannot be read") from exc
    if named != value:
        raise _mismatch(f"`Mcp-Name` must be `params.{parameter}` of the body")


def unsupported_version(requested: str) -> ProtocolError:
    """Say which revisions are spoken here."""
    data = {"supported": list(SUPPORTED), "requested": requested[:64]}
    return ProtocolError(
        400, Error(UNSUPPORTED_VERSION, "unsupported protocol version", data)
    )


def method_not_found() -> ProtocolError:
    """Say that there is no such method here."""
    return ProtocolError(404, Error(METHOD_NOT_FOUND, "method not found"))


def _invalid_params(message: str) -> ProtocolError:
    return ProtocolError(400, Error(INVALID_PARAMS, message))


def _mismatch(message: str) -> ProtocolError:
    return ProtocolError(400, Error(HEADER_MISMATCH, message))
