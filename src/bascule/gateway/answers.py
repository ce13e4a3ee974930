"""What clients are told: one place for statuses, headers and error objects."""

from __future__ import annotations

from msgspec import UNSET

from bascule.gateway.exchange import Exchange, Headers, header_block
from bascule.protocol.message import (
    INVALID_PARAMS,
    Error,
    MessageId,
    write_error,
)

JSON: Headers = header_block(
    (b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")
)
TEXT: Headers = header_block((b"Content-Type", b"text/plain; charset=utf-8"))
EVENTS: Headers = header_block(
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),
)

# Codes of our own lie outside the range that JSON-RPC and MCP reserve, so that nobody takes
# them for the upstream's (MCP 2026-07-28, error codes).
WRONG_ERA = 400
APPROVAL_REQUIRED = 428
TOO_MANY_REQUESTS = 429
BAD_GATEWAY = 502
UNAVAILABLE = 503
GATEWAY_TIMEOUT = 504


def plain(exchange: Exchange, status: int, sentence: str) -> None:
    """Answer what is no MCP request: a sentence."""
    exchange.respond(status, TEXT, sentence.encode() + b"\n")


def error(
    exchange: Exchange, status: int, message_id: MessageId | None, problem: Error
) -> None:
    """Answer a request with an error object."""
    exchange.respond(status, JSON, write_error(message_id, problem))


def wrong_verb(exchange: Exchange, problem: Error, allow: bytes = b"POST") -> None:
    """Answer a method that is not served, and say what is (RFC 9110 §15.5.6)."""
    headers = JSON + header_block((b"Allow", allow))
    exchange.respond(405, headers, write_error(None, problem))


def challenge(
    exchange: Exchange, status: int, value: str, problem: Error, *, nonce: str = ""
) -> None:
    """Answer 401 or 403 with a `WWW-Authenticate` challenge (RFC 6750 §3).

    `nonce`: what the next DPoP proof needs (RFC 9449 §9).
    """
    headers = JSON + header_block((b"WWW-Authenticate", value.encode("ascii")))
    if nonce:
        headers += header_block((b"DPoP-Nonce", nonce.encode("ascii")))
    exchange.respond(status, headers, write_error(None, problem))


def insufficient_scope(
    exchange: Exchange, value: str, message_id: MessageId, sentence: str, code: str
) -> None:
    """Answer that only the token is too narrow; `value` is the challenge."""
    problem = Error(403, sentence, {"code": code})
    headers = JSON + header_block((b"WWW-Authenticate", value.encode("ascii")))
    exchange.respond(403, headers, write_error(message_id, problem))


def not_there(code: str, kind: str, name: str) -> Error:
    """Make the one answer for what does not exist and for what the caller may not use.

    `code` is random; whoever may read the log finds the real reason by it.
    """
    data = {"code": code}
    if kind == "resource":
        data["uri"] = name
    what = "connector" if kind == "none" else kind
    return Error(INVALID_PARAMS, f"unknown {what}", data)


def no_calls_left(
    exchange: Exchange, message_id: MessageId | None, problem: Error, seconds: int
) -> None:
    """Answer that there are no calls left for so long (RFC 6585 §4)."""
    headers = JSON + header_block((b"Retry-After", b"%d" % seconds))
    exchange.respond(TOO_MANY_REQUESTS, headers, write_error(message_id, problem))


def unavailable(
    exchange: Exchange, message_id: MessageId | None, sentence: str, code: str = ""
) -> None:
    """Answer that nothing can be done now and that nothing was done.

    `code`: of the decision, when there was one.
    """
    problem = Error(UNAVAILABLE, sentence, {"code": code} if code else UNSET)
    headers = JSON + header_block((b"Retry-After", b"1"))
    exchange.respond(503, headers, write_error(message_id, problem))


def accepted(exchange: Exchange) -> None:
    """Answer a notification: nothing follows from it."""
    exchange.respond(202, b"", b"")
