"""Servers on loopback that answer as they please, also what no server should."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from bascule.scan.scope import Scope
from bascule.scan.wire import Place, Wire


@dataclass(slots=True)
class Heard:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def rpc(self) -> str:
        """The JSON-RPC method that it asks for, or nothing."""
        try:
            return str(msgspec.json.decode(self.body, type=dict[str, object])["method"])
        except (msgspec.DecodeError, KeyError):
            return ""

    @property
    def id(self) -> object:
        return msgspec.json.decode(self.body).get("id") if self.body else None


Answer = Callable[[Heard], bytes | None]
"""What is written back; None says nothing and waits for the client to go."""
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Canned:
    """A running server."""

    port: int = 0
    connections: int = 0
    heard: list[Heard] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return Place("127.0.0.1", self.port, False, ("127.0.0.1",))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json(status: str, value: object, *headers: str) -> bytes:
    body = msgspec.json.encode(value)
    return http(status, body, "Content-Type: application/json", *headers)


def result(heard: Heard, value: object, *headers: str) -> bytes:
    return json("200 OK", {"jsonrpc": "2.0", "id": heard.id, "result": value}, *headers)


def error(heard: Heard, code: int, status: str = "400 Bad Request") -> bytes:
    problem = {"code": code, "message": "no"}
    return json(status, {"jsonrpc": "2.0", "id": heard.id, "error": problem})


@contextlib.asynccontextmanager
async def serving(
    answer: Answer, tls: ssl.SSLContext | None = None, *, close: bool = False
) -> AsyncGenerator[Canned, None]:
    """Run a server that answers each request by a function; `close`: one a connection."""
    canned = Canned()

    handle = _answering(answer, canned, close=close)
    async with listening(handle, canned, tls):
        yield canned


def _answering(answer: Answer, canned: Canned, *, close: bool = False) -> Raw:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        canned.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                heard = await read_request(reader)
                canned.heard.append(heard)
                data = answer(heard)
                if data is None:
                    await reader.read()
                    break
                writer.write(data)
                await writer.drain()
                if close:
                    break
        writer.close()

    return handle


async def listening_at(answer: Answer, address: str, port: int) -> asyncio.Server:
    """Answer at an address and a port as long as the loop runs."""
    return await asyncio.start_server(_answering(answer, Canned()), address, port)


@contextlib.asynccontextmanager
async def talking(raw: Raw) -> AsyncGenerator[Canned, None]:
    """Run a server that does with a connection what it likes."""
    canned = Canned()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        canned.connections += 1
        with contextlib.suppress(OSError):
            await raw(reader, writer)
        writer.close()

    async with listening(handle, canned, None):
        yield canned


@contextlib.asynccontextmanager
async def listening(
    handle: Raw, canned: Canned, tls: ssl.SSLContext | None
) -> AsyncGenerator[None, None]:
    tasks: set[asyncio.Task[None]] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        tasks.discard(task)

    server = await asyncio.start_server(kept, "127.0.0.1", 0, ssl=tls)
    canned.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the next turn of the loop


async def read_request(reader: asyncio.StreamReader) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")[:-2]
    pairs = (line.partition(": ") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Heard(method, path, headers, body)


@contextlib.asynccontextmanager
async def wired(**settings: object) -> AsyncGenerator[Wire, None]:
    """Give a wire that may go where tests may: to this machine."""
    wire = Wire(**{"scope": Scope(), **settings})  # type: ignore[arg-type]
    try:
        yield wire
    finally:
        wire.close()
