"""A conversation of 2024-11-05: one stream of events, and messages posted beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from bascule.protocol.sse import EventTooLargeError, LineReader
from bascule.scan.eras import Outcome, Question, ask, read_object, read_outcome
from bascule.scan.exchange import Reply
from bascule.scan.wire import Answered, Place, Wire

MAX_EVENTS = 64
"""That are read for one answer."""


@dataclass(slots=True)
class EventTalk:
    """A stream that is open, and where messages go."""

    wire: Wire
    place: Place
    head: Answered
    """The stream's answer, without a body."""
    endpoint: str
    """What the first event names, as it came; empty where it is no such stream."""
    message_path: str
    """The same as a path at this place; empty where it is somewhere else."""
    _reply: Reply
    _events: AsyncGenerator[tuple[str, bytes], None]

    async def ask(self, question: Question) -> Outcome:
        """Post a request and read its answer from the stream. Raises `WireError`."""
        posted = await ask(self.wire, self.place, question)
        if posted.is_rpc or not 200 <= posted.answered.status < 300:
            return posted
        self._reply.prolong()
        data = await self._answer(question.id)
        cut = "" if data else self._reply.cut or "no answer comes on the stream"
        seen = posted.answered
        answered = Answered(seen.status, seen.headers, data, cut, seen.tls, seen.address)
        return read_outcome(answered, question.id)

    async def _answer(self, number: int) -> bytes:
        for _ in range(MAX_EVENTS):
            kind, data = await _next(self._events)
            if not kind:
                break
            message = read_object(data) if kind == "message" else None
            if message is not None and message.get("id") == number:
                return data
        return b""


@asynccontextmanager
async def event_talk(
    wire: Wire, place: Place, path: str, headers: Mapping[str, str] | None = None
) -> AsyncGenerator[EventTalk, None]:
    """Open a stream and read where messages go. Raises `WireError`.

    Messages go to the place that was checked alone: another origin is not asked.
    """
    asked = {"Accept": "text/event-stream", **(headers or {})}
    async with wire.send(place, "GET", path, asked) as reply:
        events = _events(reply)
        async with aclosing(events):
            streams = reply.status == 200 and reply.media_type == "text/event-stream"
            endpoint = await _endpoint(events) if streams else ""
            head = Answered(
                reply.status,
                reply.headers,
                b"" if streams else await reply.body(),
                reply.cut,
                reply.stream.tls,
                reply.stream.address,
            )
            message_path = path_here(place, path, endpoint)
            yield EventTalk(wire, place, head, endpoint, message_path, reply, events)


def path_here(place: Place, path: str, reference: str) -> str:
    """Give the path and query that a reference leads to from a path; empty if elsewhere."""
    try:
        parts = urlsplit(urljoin(f"{place.origin}{path}", reference))
    except ValueError:
        return ""
    if f"{parts.scheme}://{parts.netloc}".lower() != place.origin or not reference:
        return ""
    found = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return found if found.isascii() and found.isprintable() and " " not in found else ""


async def _endpoint(events: AsyncGenerator[tuple[str, bytes], None]) -> str:
    kind, data = await _next(events)
    return data.decode("utf-8", "replace").strip() if kind == "endpoint" else ""


async def _next(events: AsyncGenerator[tuple[str, bytes], None]) -> tuple[str, bytes]:
    """Give the next event; one without a type at the end."""
    async for event in events:
        return event
    return "", b""


async def _events(reply: Reply) -> AsyncGenerator[tuple[str, bytes], None]:
    """Give type and data of each event that has data, as long as they keep to limits."""
    lines = LineReader(reply.limits.body_bytes)
    kind, data = "message", list[bytes]()
    async with aclosing(reply.pieces()) as pieces:
        async for piece in pieces:
            try:
                found = lines.feed(piece)
            except EventTooLargeError:
                return
            for line in found:
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if not line:
                    if data:
                        yield kind, b"\n".join(data)
                    kind, data = "message", []
                elif name == b"event":
                    kind = value.decode("latin-1") or "message"
                elif name == b"data":
                    data.append(value)
