"""JSON-RPC 2.0 messages as MCP uses them: parsed once, written anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.errors import BasculeError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
URL_ELICITATION_REQUIRED = -32042
"""Of 2025-11-25 alone: the user must visit a page before the same request works."""

MessageId = int | str


class MalformedMessageError(BasculeError):
    """The bytes are no message that MCP allows; `code` is the JSON-RPC error code."""

    def __init__(
        self, code: int, message: str, message_id: MessageId | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id


class Request(Struct, frozen=True, gc=False):
    """A request that wants an answer."""

    id: MessageId
    method: str
    params: dict[str, Any]


class Notification(Struct, frozen=True, gc=False):
    """A message without an answer."""

    method: str
    params: dict[str, Any]


class Error(Struct, omit_defaults=True):
    """A JSON-RPC error object."""

    code: int
    message: str
    data: Any = UNSET


class Response(Struct, frozen=True):
    """A client's answer to what a server asked; older revisions have such asks."""

    id: MessageId
    outcome: dict[str, Any] | Error
    """The result, or the error."""


Message = Request | Notification | Response


class _Envelope(Struct, gc=False):
    jsonrpc: str
    method: str | UnsetType = UNSET
    id: MessageId | UnsetType | None = UNSET
    params: dict[str, Any] | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _Outgoing(Struct, omit_defaults=True, gc=False):
    jsonrpc: str
    method: str
    params: dict[str, Any]
    id: MessageId | UnsetType = UNSET


class Answer(Struct, gc=False):
    """A response as an upstream gives it; exactly one of `result` and `error` is set."""

    jsonrpc: str = ""
    id: MessageId | None = None
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    """Set when this is no response but a notification or a request."""
    params: Raw | UnsetType = UNSET


_envelope = msgspec.json.Decoder(_Envelope)
_answer = msgspec.json.Decoder(Answer)
_error = msgspec.json.Decoder(Error)
_result = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()
encode = _encoder.encode
"""Write any JSON value; compact, keys in the order given."""

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(body: bytes, *, max_depth: int) -> Message:
    """Parse a request body.

    Raises `MalformedMessageError`, and nothing else, for any bytes. Batches are refused at
    every revision: one message, one decision.
    """
    if body.lstrip(b" \t\r\n")[:1] == b"[":
        raise MalformedMessageError(INVALID_REQUEST, "batches are not accepted")
    try:
        envelope = _envelope.decode(body)
    except msgspec.ValidationError as exc:
        raise MalformedMessageError(INVALID_REQUEST, "not a JSON-RPC message") from exc
    except _DECODE_ERRORS as exc:
        raise MalformedMessageError(PARSE_ERROR, "body is not valid JSON") from exc
    message_id = envelope.id if isinstance(envelope.id, int | str) else None
    if envelope.jsonrpc != "2.0":
        raise MalformedMessageError(INVALID_REQUEST, "`jsonrpc` must be 2.0", message_id)
    if envelope.result is not UNSET or envelope.error is not UNSET:
        return _response(envelope, message_id, body, max_depth)
    if envelope.method is UNSET:
        raise MalformedMessageError(INVALID_REQUEST, "`method` is missing", message_id)
    if envelope.id is None:
        raise MalformedMessageError(INVALID_REQUEST, "`id` must not be null")
    params = {} if envelope.params is UNSET else envelope.params
    if deeper_than(params, max_depth - 1, size_hint=body):
        raise MalformedMessageError(
            INVALID_REQUEST, "message is nested too deeply", message_id
        )
    if envelope.id is UNSET:
        return Notification(envelope.method, params)
    return Request(envelope.id, envelope.method, params)


def _response(
    envelope: _Envelope, message_id: MessageId | None, body: bytes, max_depth: int
) -> Response:
    result, error = envelope.result, envelope.error
    both = isinstance(result, Raw) and isinstance(error, Raw)
    if both or envelope.method is not UNSET or message_id is None:
        raise MalformedMessageError(
            INVALID_REQUEST, "a response has an id and a result or an error", message_id
        )
    outcome: dict[str, Any] | Error
    try:
        if isinstance(result, Raw):
            outcome = _result.decode(result)
        else:
            outcome = _error.decode(cast("Raw", error))
    except _DECODE_ERRORS as exc:
        raise MalformedMessageError(
            INVALID_REQUEST, "not a JSON-RPC response", message_id
        ) from exc
    nested = {"data": outcome.data} if isinstance(outcome, Error) else outcome
    if deeper_than(nested, max_depth - 1, size_hint=body):
        raise MalformedMessageError(
            INVALID_REQUEST, "message is nested too deeply", message_id
        )
    return Response(message_id, outcome)


def deeper_than(value: dict[str, Any], limit: int, *, size_hint: bytes) -> bool:
    """Tell whether a decoded JSON value nests deeper than `limit` objects and arrays.

    `size_hint` is its text: with no more brackets than the limit there is nothing to walk.
    """
    if size_hint.count(b"{") + size_hint.count(b"[") <= limit:
        return False
    level: list[object] = [value]
    for _ in range(limit):
        level = [child for item in level for child in _nested(item)]
        if not level:
            return False
    return True


def _nested(value: object) -> Iterator[object]:
    children = value.values() if isinstance(value, dict) else value
    assert isinstance(children, Iterable)  # noqa: S101 - narrows for mypy
    return (child for child in children if isinstance(child, dict | list))


def write_request(message_id: MessageId, method: str, params: Mapping[str, Any]) -> bytes:
    """Write a request for an upstream.

    The upstream gets what was parsed, never the client's bytes: two parsers that read a
    doubled key differently would let a call pass under another tool's name.
    """
    return _encoder.encode(_Outgoing("2.0", method, dict(params), message_id))


def write_response(message_id: MessageId, outcome: Mapping[str, Any] | Error) -> bytes:
    """Write a client's answer for the upstream that asked."""
    if isinstance(outcome, Error):
        return write_error(message_id, outcome)
    return write_result(message_id, Raw(_encoder.encode(outcome)))


def parse_answer(body: bytes) -> Answer:
    """Parse one message that an upstream sent.

    Raises `MalformedMessageError`, and nothing else, for any bytes.
    """
    try:
        answer = _answer.decode(body)
    except _DECODE_ERRORS as exc:
        raise MalformedMessageError(
            PARSE_ERROR, "upstream sent no JSON-RPC message"
        ) from exc
    if answer.jsonrpc != "2.0":
        raise MalformedMessageError(
            INVALID_REQUEST, "upstream sent no JSON-RPC 2.0 message"
        )
    is_response = answer.method is UNSET
    if is_response and (answer.result is UNSET) == (answer.error is UNSET):
        raise MalformedMessageError(INVALID_REQUEST, "response needs a result or an error")
    return answer


def parse_error(raw: Raw) -> Error:
    """Parse the `error` of a response. Raises `MalformedMessageError`."""
    try:
        return _error.decode(raw)
    except _DECODE_ERRORS as exc:
        raise MalformedMessageError(
            INVALID_REQUEST, "upstream sent no error object"
        ) from exc


def write_result(message_id: MessageId, result: Raw) -> bytes:
    """Write a response that carries a result; `result` is JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (
        _encoder.encode(message_id),
        bytes(result),
    )


def write_error(message_id: MessageId | None, error: Error) -> bytes:
    """Write an error response; without a readable id it carries none."""
    if message_id is None:
        return b'{"jsonrpc":"2.0","error":%b}' % _encoder.encode(error)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (
        _encoder.encode(message_id),
        _encoder.encode(error),
    )


def write_notification(method: str, params: Raw | Mapping[str, Any]) -> bytes:
    """Write a notification."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (
        _encoder.encode(method),
        bytes(params) if isinstance(params, Raw) else _encoder.encode(params),
    )
