"""The bridge to pages: what of an answer goes out, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bascule.config.model import Limits
from bascule.gateway.asgi import MAX_BODY_BYTES, AsgiBridge
from bascule.gateway.listener import Listener


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def echo(request: Request) -> Response:
    response = PlainTextResponse(await request.body())
    for value in request.query_params.getlist("cookie"):
        response.headers.append("Set-Cookie", value)
    return response


@contextlib.asynccontextmanager
async def bridged(crashes: list[Exception]) -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])])
    bridge = AsgiBridge(app, scheme="http", on_crash=crashes.append)
    bound = socket.create_server(("127.0.0.1", 0))
    listener = Listener([bound], bridge, Limits())
    await listener.start()
    try:
        yield bound.getsockname()[1]
    finally:
        listener.stop_accepting()
        listener.abort()


async def ask(port: int, head: str, body: bytes = b"") -> tuple[list[str], bytes]:
    """Send one request; gives the answer's lines and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [head, "Host: x", f"Content-Length: {len(body)}", "Connection: close"]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    answer = await reader.read()
    writer.close()
    found, _, rest = answer.partition(b"\r\n\r\n")
    return found.decode().split("\r\n"), rest


@pytest.mark.anyio
async def test_a_body_without_an_end_is_refused_before_it_is_all_there() -> None:
    """Strangers may send bodies to pages: what is kept of one is what a page may take."""
    async with bridged([]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        size = MAX_BODY_BYTES + 1
        writer.write(head.encode() + b"%x\r\n%b\r\n" % (size, b"x" * size))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


@pytest.mark.anyio
async def test_each_cookie_has_a_line_of_its_own() -> None:
    async with bridged([]) as port:
        lines, _ = await ask(port, "GET /echo?cookie=a=1&cookie=b=2 HTTP/1.1")
    cookies = [line for line in lines if line.lower().startswith("set-cookie")]
    assert [line.partition(": ")[2] for line in cookies] == ["a=1", "b=2"]


@pytest.mark.anyio
async def test_a_body_goes_through_as_it_is() -> None:
    body = b"name=%C3%A4&other=a+b"
    async with bridged([]) as port:
        lines, rest = await ask(port, "POST /echo HTTP/1.1", body)
    assert lines[0] == "HTTP/1.1 200 OK"
    assert rest == body


@pytest.mark.anyio
async def test_a_body_that_no_page_takes_is_refused() -> None:
    async with bridged([]) as port:
        lines, _ = await ask(port, "POST /echo HTTP/1.1", b"x" * (MAX_BODY_BYTES + 1))
    assert lines[0].startswith("HTTP/1.1 413")


@pytest.mark.anyio
@pytest.mark.parametrize("line_end", ["%0d%0a", "%0a", "%0d", "%00"])
async def test_no_text_begins_a_header_of_its_own(line_end: str) -> None:
    crashes: list[Exception] = []
    async with bridged(crashes) as port:
        target = f"/echo?cookie=a{line_end}Injected:%20yes"
        lines, _ = await ask(port, f"GET {target} HTTP/1.1")
    assert lines[0].startswith("HTTP/1.1 500")
    assert not any(line.startswith("Injected") for line in lines)
    assert len(crashes) == 1
