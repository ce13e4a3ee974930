"""An upstream that records every request and misbehaves on demand.

Which way it answers a `tools/call` is the tool's name, so that tests need no shared script.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from patience import PATIENCE

VERSION = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
STATE = 'state of the upstream: \u00e9\u4e2d \\ " /'
CURSOR = "page two/+="
FLOOD_BYTES = 40 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came over the wire."""

    raw: bytes
    head: bytes
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = self.message.get("params", {})
        return found


@dataclass(slots=True)
class Recorder:
    """What arrived, and events that tests wait for."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each request."""
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released when the gateway closes a connection on which a call hangs or streams."""

    def take(self) -> list[Received]:
        """Give what arrived since the last time, and forget it."""
        found, self.received = self.received, []
        while self.arrived.acquire(blocking=False):
            pass
        return found

    def wait(self) -> None:
        """Wait until one more request has arrived."""
        assert self.arrived.acquire(timeout=PATIENCE), "the upstream saw nothing"

    def wait_closed(self) -> None:
        """Wait until the gateway has closed a connection in mid-call."""
        assert self.closed.acquire(timeout=PATIENCE), "the upstream connection stayed open"


class Conversation:
    """One request and the connection on which it is answered."""

    def __init__(
        self, request: Received, writer: asyncio.StreamWriter, gone: Awaitable[object]
    ) -> None:
        self.request = request
        self.id = request.message.get("id") if request.body else None
        self.writer = writer
        self.gone = gone

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def whole(
        self, body: bytes, *, status: str = "200 OK", kind: str = "application/json"
    ) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
        await self.raw(head.encode() + b"\r\n\r\n" + body)

    async def result(self, result: dict[str, Any]) -> None:
        await self.whole(self.response(result))

    def response(self, result: dict[str, Any]) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result}).encode()

    async def stream(self) -> None:
        await self.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )

    async def event(self, message: dict[str, Any] | bytes) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self.chunk(b"event: message\ndata: " + data + b"\n\n")

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def notify(self, method: str, **params: Any) -> None:
        await self.event({"jsonrpc": "2.0", "method": method, "params": params})


def content(text: str) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": text}]}


async def echo(it: Conversation) -> None:
    await it.result(content(json.dumps(it.request.params.get("arguments", {}))))


async def fails(it: Conversation) -> None:
    await it.result({**content("no such ticket"), "isError": True})


async def streams(it: Conversation) -> None:
    """Two progress notifications, one of a stranger, then the result."""
    token = it.request.params["_meta"].get("progressToken")
    await it.stream()
    await it.notify("notifications/progress", progressToken=token, progress=1)
    await it.notify("notifications/progress", progressToken="of another", progress=9)
    await it.notify("notifications/progress", progressToken=token, progress=2)
    await it.event(it.response(content("done")))
    await it.end()


async def opens(it: Conversation) -> None:
    """Begin a stream that never ends by itself."""
    with contextlib.suppress(OSError):  # whoever asked may be gone already
        await it.stream()
        await it.notify("notifications/message", level="info", data="open")
    await it.gone


async def hangs(it: Conversation) -> None:
    await it.gone


async def dies(it: Conversation) -> None:
    it.writer.transport.abort()


async def dies_midway(it: Conversation) -> None:
    await it.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    it.writer.transport.abort()


async def stream_dies(it: Conversation) -> None:
    await it.stream()
    await it.notify("notifications/message", level="info", data="soon dead")
    it.writer.transport.abort()


async def garbage(it: Conversation) -> None:
    await it.raw(b"\x00\xff\x16\x03 not HTTP at all\r\n\r\n")


async def no_json(it: Conversation) -> None:
    await it.whole(b'{"jsonrpc":"2.0","id":')


async def html(it: Conversation) -> None:
    await it.whole(b"<h1>It works</h1>", kind="text/html")


async def redirects(it: Conversation) -> None:
    await it.raw(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/elsewhere\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


async def foreign_id(it: Conversation) -> None:
    it.id += 1
    await it.result(content("for somebody else"))


async def stream_foreign_id(it: Conversation) -> None:
    await it.stream()
    it.id += 1
    await it.event(it.response(content("for somebody else")))
    await it.gone


async def stream_garbage(it: Conversation) -> None:
    await it.stream()
    await it.event(b"{not json")
    await it.gone


async def stream_ends(it: Conversation) -> None:
    await it.stream()
    await it.notify("notifications/message", level="info", data="no answer follows")
    await it.end()


async def floods(it: Conversation) -> None:
    await it.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % FLOOD_BYTES
    )
    await _pour(it, lambda piece: it.raw(piece))


async def stream_floods(it: Conversation) -> None:
    await it.stream()
    await it.chunk(b"data: ")
    await _pour(it, it.chunk)


async def _pour(it: Conversation, put: Callable[[bytes], Awaitable[None]]) -> None:
    for _ in range(FLOOD_BYTES >> 16):
        await put(b"x" * (1 << 16))


async def unauthorized(it: Conversation) -> None:
    body = {"jsonrpc": "2.0", "id": it.id, "error": {"code": 401, "message": "no key"}}
    await it.whole(json.dumps(body).encode(), status="401 Unauthorized")


async def leaks(it: Conversation) -> None:
    """Answer with headers that are nobody's business."""
    body = it.response(content("quiet"))
    await it.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: upstream=1\r\n"
        b"X-Powered-By: desk\r\nMcp-Session-Id: raw-session\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )


async def asks(it: Conversation) -> None:
    """Ask for input first; the second round must bring the state back unchanged."""
    if "requestState" in it.request.params:
        await it.result(content("answered"))
        return
    await _input_required(it, "elicitation/create")


async def asks_to_sample(it: Conversation) -> None:
    await _input_required(it, "sampling/createMessage")


async def _input_required(it: Conversation, method: str) -> None:
    await it.result(
        {
            "resultType": "input_required",
            "inputRequests": {"one": {"method": method, "params": {"message": "sure?"}}},
            "requestState": STATE,
        }
    )


async def surrogate(it: Conversation) -> None:
    """A state that is no Unicode text."""
    await it.whole(
        b'{"jsonrpc":"2.0","id":%d,"result":{"resultType":"input_required",'
        b'"inputRequests":{},"requestState":"\\ud800"}}' % it.id
    )


TOOLS: dict[str, Callable[[Conversation], Awaitable[None]]] = {
    tool.__name__: tool
    for tool in (
        echo,
        fails,
        streams,
        opens,
        hangs,
        dies,
        dies_midway,
        stream_dies,
        garbage,
        no_json,
        html,
        redirects,
        foreign_id,
        stream_foreign_id,
        stream_garbage,
        stream_ends,
        floods,
        stream_floods,
        unauthorized,
        leaks,
        asks,
        asks_to_sample,
        surrogate,
    )
}
FORBIDDEN = "forbidden"
"""A tool that exists and that no role allows."""


async def answer(it: Conversation) -> None:
    params = it.request.params
    match it.request.message["method"]:
        case "tools/call":
            await TOOLS.get(params["name"], echo)(it)
        case "tools/list" if "cursor" in params:
            await it.result({"tools": [], "cacheScope": "public", "ttlMs": 60_000})
        case "tools/list":
            tools = [{"name": name, "inputSchema": {}} for name in [*TOOLS, FORBIDDEN]]
            await it.result({"tools": tools, "nextCursor": CURSOR, "cacheScope": "public"})
        case "prompts/list":
            await it.result({"prompts": [], "nextCursor": CURSOR})
        case "subscriptions/listen":
            await it.stream()
            meta = {SUBSCRIPTION: it.id}
            await it.notify("notifications/subscriptions/acknowledged", _meta=meta)
            await it.notify("notifications/tools/list_changed", _meta=meta)
            for uri in ("file:///etc/passwd", "note:1"):  # whoever has asked for it
                await it.notify("notifications/resources/updated", uri=uri, _meta=meta)
            await it.gone
        case _:
            await it.result({"resultType": "complete"})


async def _read(reader: asyncio.StreamReader) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    headers = {}
    for line in head.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(head + body, head, headers, body)


Handler = Callable[[Conversation], Awaitable[None]]


async def _serve(
    recorder: Recorder,
    answer: Handler,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    try:
        while True:
            request = await _read(reader)
            recorder.received.append(request)
            recorder.arrived.release()
            await answer(Conversation(request, writer, _gone(recorder, reader)))
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


class _gone:
    """Waits until the other side closes; awaited at most once."""

    def __init__(self, recorder: Recorder, reader: asyncio.StreamReader) -> None:
        self._recorder = recorder
        self._reader = reader

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> None:
        with contextlib.suppress(OSError):
            await self._reader.read(1)
        self._recorder.closed.release()
        raise ConnectionResetError


@contextlib.contextmanager
def recording(answer: Handler = answer) -> Iterator[Recorder]:
    """Run a recorder on a free port, in a thread of its own."""
    recorder = Recorder()
    ready = threading.Event()
    stopping: list[Callable[[], None]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
        conversations: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = loop.create_task(_serve(recorder, answer, reader, writer))
            conversations.add(task)
            task.add_done_callback(conversations.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        recorder.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield recorder
    finally:
        stopping[0]()
        thread.join(10)
