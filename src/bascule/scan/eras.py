"""The three ways in which MCP is spoken over HTTP, as a scan speaks them.

2026-07-28 has no handshake: `server/discover` is the greeting. The revisions before begin
with `initialize`, perhaps with a session. 2024-11-05 has a stream of events, and answers
come there. What a scan asks is what tells it who is there; it never calls a tool.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from bascule.net.fetch import USER_AGENT
from bascule.protocol import legacy, modern
from bascule.protocol.message import write_notification, write_request
from bascule.protocol.sse import EventReader, EventTooLargeError
from bascule.scan.exchange import Reply, WireError
from bascule.scan.wire import Answered, Place, Wire

Era = Literal["modern", "legacy", "sse"]

NAME, _, RELEASE = USER_AGENT.partition("/")
CLIENT = {"name": NAME, "version": RELEASE}
POSTED = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}
LISTS = ("tools/list", "resources/list", "prompts/list")

_object = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one JSON-RPC request: at most one of `result` and `error`."""

    answered: Answered
    """`body` is the JSON that answered, taken out of a stream of events."""
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    @property
    def code(self) -> int | None:
        """The code of the error."""
        code = None if self.error is None else self.error.get("code")
        return code if isinstance(code, int) else None

    @property
    def is_rpc(self) -> bool:
        """Tell whether an answer of JSON-RPC came."""
        return self.result is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class Question:
    """One JSON-RPC request as it is sent; judges send it again with other headers."""

    path: str
    method: str
    """Of JSON-RPC."""
    params: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    id: int = 1

    @property
    def body(self) -> bytes:
        """Its JSON."""
        return write_request(self.id, self.method, dict(self.params))

    def with_headers(self, headers: Mapping[str, str]) -> Question:
        """Give the same with more headers, or other ones of the same names."""
        names = {name.lower() for name in headers}
        kept = {key: it for key, it in self.headers.items() if key.lower() not in names}
        return replace(self, headers={**kept, **headers})


def modern_question(
    path: str, method: str, params: Mapping[str, Any] | None = None
) -> Question:
    """Make a request of 2026-07-28, which says all of itself in body and headers."""
    meta = {
        modern.PROTOCOL_VERSION: modern.VERSION,
        modern.CLIENT_INFO: CLIENT,
        modern.CLIENT_CAPABILITIES: {},
    }
    headers = {**POSTED, "MCP-Protocol-Version": modern.VERSION, "Mcp-Method": method}
    return Question(path, method, {**(params or {}), modern.META: meta}, headers)


def discover(path: str) -> Question:
    """Make the greeting of 2026-07-28."""
    return modern_question(path, "server/discover")


def initialize(path: str, version: str = legacy.LATEST) -> Question:
    """Make the greeting of the revisions before."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}
    return Question(path, legacy.INITIALIZE, params, POSTED)


def session_headers(greeted: Outcome) -> dict[str, str]:
    """Give the headers of the session that an `initialize` began."""
    headers = dict(POSTED)
    spoken = (greeted.result or {}).get("protocolVersion")
    if isinstance(spoken, str) and spoken.isascii() and spoken.isprintable():
        headers["MCP-Protocol-Version"] = spoken
    session = greeted.answered.header("mcp-session-id")
    if session is not None and session.isascii() and session.isprintable():
        headers["Mcp-Session-Id"] = session
    return headers


async def ask(wire: Wire, place: Place, question: Question) -> Outcome:
    """Send one request and wait for its answer. Raises `WireError`.

    What the server asks or tells meanwhile is not answered.
    """
    async with wire.send(
        place, "POST", question.path, question.headers, question.body
    ) as reply:
        streamed = reply.media_type == "text/event-stream"
        body = await _own_event(reply, question.id) if streamed else await reply.body()
        answered = _answered(reply, body)
    return read_outcome(answered, question.id)


async def tell(
    wire: Wire, place: Place, path: str, method: str, headers: Mapping[str, str]
) -> None:
    """Send one notification; what is answered does not matter."""
    with suppress(WireError):
        await wire.ask(place, "POST", path, headers, write_notification(method, {}))


async def end_session(
    wire: Wire, place: Place, path: str, headers: Mapping[str, str]
) -> None:
    """Leave no session behind; whether the server ends it is its own affair."""
    if "Mcp-Session-Id" in headers:
        with suppress(WireError):
            await wire.ask(place, "DELETE", path, headers)


def read_outcome(answered: Answered, number: int) -> Outcome:
    """Read an answer as JSON-RPC, where it is an answer to that request."""
    message = read_object(answered.body)
    if message is None or message.get("jsonrpc") != "2.0":
        return Outcome(answered)
    result, error = message.get("result"), message.get("error")
    if isinstance(error, dict) and "code" in error:
        return Outcome(answered, error=error)
    if isinstance(result, dict) and message.get("id") == number:
        return Outcome(answered, result=result)
    return Outcome(answered)


def read_object(body: bytes) -> dict[str, Any] | None:
    """Read a JSON object; None for anything else.

    Read as leniently as clients do: what they understand must not be hidden from a scan by
    half a character, a byte that is no UTF-8, or a number that is too large.
    """
    try:
        return _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        value = _whole(json.loads(body.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(value: Any) -> Any:
    """Give a JSON value with a question mark for each half of a character."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(name): _whole(it) for name, it in value.items()}
    return [_whole(it) for it in value] if isinstance(value, list) else value


async def events(reply: Reply) -> AsyncGenerator[bytes, None]:
    """Give the messages of a stream of events, as long as there are some within limits."""
    reader = EventReader(reply.limits.body_bytes)
    async with aclosing(reply.pieces()) as pieces:
        async for piece in pieces:
            try:
                found = reader.feed(piece)
            except EventTooLargeError:
                reply.cut = f"an event is larger than {reply.limits.body_bytes} bytes"
                return
            for data in found:
                yield data


async def _own_event(reply: Reply, number: int) -> bytes:
    """Wait for the message that answers; empty where the stream ends without."""
    async with aclosing(events(reply)) as messages:
        async for data in messages:
            message = read_object(data) or {}
            ids = (number, None) if "error" in message else (number,)
            if {"error", "result"} & message.keys() and message.get("id") in ids:
                return data
    return b""


def _answered(reply: Reply, body: bytes) -> Answered:
    return Answered(
        reply.status,
        reply.headers,
        body,
        "" if body and reply.media_type == "text/event-stream" else reply.cut,
        reply.stream.tls,
        reply.stream.address,
    )
