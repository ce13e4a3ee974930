"""Capturing the surface of a server behind a URL."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import count
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.lock.capture import SECONDS, CapturedSurface, capture
from bascule.lock.view import MAX_VIEW_BYTES, CaptureError, Conversation, RefusedError
from bascule.net.fetch import FetchError, FetchPolicy
from bascule.net.post import Reply, send
from bascule.protocol import modern
from bascule.protocol.message import (
    METHOD_NOT_FOUND,
    Answer,
    Error,
    MalformedMessageError,
    MessageId,
    parse_answer,
    parse_error,
    write_error,
    write_notification,
    write_request,
)
from bascule.protocol.sse import EventReader, EventTooLargeError

MAX_ASKS = 64
"""Requests of the server within one conversation."""
_BAD = (MalformedMessageError, EventTooLargeError)
_POSTED = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


async def capture_http(
    url: str,
    *,
    header: tuple[str, str] | None = None,
    private: Sequence[str] = (),
    cleartext: bool = False,
    seconds: float = SECONDS,
) -> CapturedSurface:
    """Capture what the server behind a URL serves; see `capture`.

    `header` is the credential, name and value. `private` names the HOST:PORT pairs that may
    have private addresses; `cleartext` allows http beyond loopback. Raises `CaptureError`.
    """
    policy = FetchPolicy(
        max_bytes=MAX_VIEW_BYTES,
        seconds=seconds,
        private=tuple(private),
        loopback=True,
        cleartext=cleartext,
    )
    credential = {} if header is None else dict([header])
    if not all(
        it.isascii() and it.isprintable() for pair in credential.items() for it in pair
    ):
        raise CaptureError("the credential cannot be a header: visible ASCII alone can")

    @asynccontextmanager
    async def connect(revision: str) -> AsyncIterator[Conversation]:
        talk = _Talk(url, credential, policy, revision)
        try:
            yield talk
        finally:
            await talk.end()

    return await capture(connect, {}, seconds=seconds)


class _Talk:
    """A session, or requests of 2026-07-28, which need none."""

    def __init__(
        self, url: str, credential: Mapping[str, str], policy: FetchPolicy, revision: str
    ) -> None:
        self.changes = 0
        self._url = url
        self._credential = credential
        self._policy = policy
        self._revision = revision
        self._session: dict[str, str] = {}
        self._ids = count(1)
        self._asks = 0

    async def request(self, method: str, params: Mapping[str, Any]) -> Raw:
        number = next(self._ids)
        try:
            async with self._send(method, write_request(number, method, params)) as reply:
                answer = await self._answer(reply, number)
        except FetchError as exc:
            raise CaptureError(f"the server cannot be asked: {exc}") from exc
        except _BAD as exc:
            raise CaptureError("the server sends what is no JSON-RPC") from exc
        if answer is None:
            raise CaptureError(_refusal(reply))
        if isinstance(answer.error, Raw):
            problem = parse_error(answer.error)
            raise RefusedError(method, problem.code, problem.message)
        assert isinstance(answer.result, Raw)  # noqa: S101 - one of both is set
        if method == "initialize":
            self._begun(reply, answer.result)
        return answer.result

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        await self._tell(method, write_notification(method, params))

    async def end(self) -> None:
        """Leave no session behind; whether the server ends it is its own affair."""
        if "Mcp-Session-Id" not in self._session:
            return
        headers = {**self._credential, **self._session}
        with suppress(FetchError):
            async with send("DELETE", self._url, headers, b"", self._policy):
                pass

    @asynccontextmanager
    async def _send(self, method: str, body: bytes) -> AsyncIterator[Reply]:
        headers = {**_POSTED, **self._credential, **self._session}
        if self._revision == modern.VERSION:
            headers |= {"MCP-Protocol-Version": modern.VERSION, "Mcp-Method": method}
        async with send("POST", self._url, headers, body, self._policy) as reply:
            yield reply

    async def _tell(self, method: str, body: bytes) -> None:
        try:
            async with self._send(method, body):
                pass
        except FetchError as exc:
            raise CaptureError(f"the server cannot be asked: {exc}") from exc

    async def _answer(self, reply: Reply, number: int) -> Answer | None:
        """Wait for the response; None where what comes is none of MCP."""
        if reply.media_type == "text/event-stream":
            async with aclosing(_events(reply)) as messages:
                async for message in messages:
                    if message.method is UNSET:
                        return _own(message, number)
                    await self._heard(message)
            return None
        if reply.media_type != "application/json" or 300 <= reply.status < 400:
            return None
        return _own(parse_answer(await reply.body()), number)

    async def _heard(self, message: Answer) -> None:
        """Count what tells of a change; what is asked is answered with an error."""
        if isinstance(message.method, str) and message.method.endswith("/list_changed"):
            self.changes += 1
        asked: MessageId | None = message.id
        if asked is not None:
            self._asks += 1
            if self._asks > MAX_ASKS:
                raise CaptureError(f"the server asks more than {MAX_ASKS} questions")
            refusal = Error(METHOD_NOT_FOUND, "nobody can be asked here")
            await self._tell("", write_error(asked, refusal))

    def _begun(self, reply: Reply, result: Raw) -> None:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            begun = msgspec.json.decode(result, type=dict[str, Any])
            spoken = begun.get("protocolVersion")
            if isinstance(spoken, str) and spoken.isascii() and spoken.isprintable():
                self._session["MCP-Protocol-Version"] = spoken
        session = reply.headers.get("mcp-session-id")
        if session is not None:
            self._session["Mcp-Session-Id"] = session


async def _events(reply: Reply) -> AsyncGenerator[Answer, None]:
    reader = EventReader(MAX_VIEW_BYTES)
    async with aclosing(reply.pieces()) as pieces:
        async for piece in pieces:
            for event in reader.feed(piece):
                yield parse_answer(event)


def _own(answer: Answer, number: int) -> Answer | None:
    unnamed = answer.id is None and answer.error is not UNSET
    return answer if answer.id == number or unnamed else None


def _refusal(reply: Reply) -> str:
    if reply.status in {401, 403}:
        return (
            f"the server refuses to be asked (HTTP {reply.status}): it needs a credential "
            "that may list, see `credential` of the connector"
        )
    if 300 <= reply.status < 400:
        return f"the server sends elsewhere (HTTP {reply.status}): name the right URL"
    return f"the server gives no answer of MCP (HTTP {reply.status})"
