"""Surfaces of servers behind URLs: real ones of both eras, and some that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable

import pytest

from bascule.lock.capture import CapturedSurface
from bascule.lock.capture_http import capture_http
from bascule.lock.view import CaptureError
from bascule.net.fetch import USER_AGENT
from system import mcp_server

Answer = Callable[[dict[str, object], dict[str, str]], bytes]
"""What is written back for a message and the headers that it came with."""


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def result(message: dict[str, object], value: object, *headers: str) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), "result": value})
    return http("200 OK", body.encode(), "Content-Type: application/json", *headers)


CUT = http("200 OK", b"{}", "Content-Type: application/json").replace(b": 2", b": 9")
BEGUN = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "raw", "version": "1"},
}


async def served(
    answer: Answer, work: Callable[[int], Awaitable[CapturedSurface]]
) -> object:
    """Run a server of one canned answer for each request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.partition(": ") for line in head.split("\r\n")[1:-2])
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            headers["verb"] = head.split()[0]
            writer.write(answer(json.loads(body or b"{}"), headers))
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        return await work(server.sockets[0].getsockname()[1])


def captured(answer: Answer, **options: object) -> CapturedSurface:
    """Capture what a canned server serves."""

    def work(port: int) -> Awaitable[CapturedSurface]:
        return capture_http(f"http://127.0.0.1:{port}/mcp", **options)  # type: ignore[arg-type]

    found = asyncio.run(served(answer, work))
    assert isinstance(found, CapturedSurface)
    return found


@pytest.mark.parametrize(
    ("era", "revisions"),
    [
        ("both", ("2025-11-25", "2026-07-28")),
        ("modern", ("2026-07-28",)),
        ("legacy", ("2025-11-25",)),
    ],
)
def test_a_real_server_is_seen_in_the_eras_that_it_speaks(
    era: str, revisions: tuple[str, ...]
) -> None:
    with mcp_server.running(era) as port:
        surface = asyncio.run(capture_http(f"http://127.0.0.1:{port}/mcp"))
    assert surface.document.context.revisions == revisions
    assert {"samples", "waits"} <= set(surface.pins.tools)
    assert set(surface.pins.prompts) == {"greeting"}
    assert surface.document.refused == {}


def test_requests_say_whose_they_are_and_leave_no_session() -> None:
    seen: list[dict[str, str]] = []

    def answer(message: dict[str, object], headers: dict[str, str]) -> bytes:
        seen.append(headers)
        if message.get("method") == "initialize":
            return result(message, BEGUN, "Mcp-Session-Id: s-1")
        if message.get("method") == "tools/list":
            return result(message, {"tools": [{"name": "a"}]})
        return http("400 Bad Request", b"{}", "Content-Type: application/json")

    surface = captured(answer, header=("Authorization", "Bearer x"))
    assert set(surface.pins.tools) == {"a"}
    assert {it["user-agent"] for it in seen} == {USER_AGENT}
    assert {it["authorization"] for it in seen} == {"Bearer x"}
    in_session = [it for it in seen if "mcp-session-id" in it]
    assert {it["mcp-protocol-version"] for it in in_session} == {"2025-06-18"}
    assert [it["verb"] for it in in_session].count("DELETE") == 2


def test_what_a_server_asks_within_a_stream_is_answered_with_an_error() -> None:
    answered: list[dict[str, object]] = []

    def answer(message: dict[str, object], headers: dict[str, str]) -> bytes:
        if message.get("method") == "initialize":
            return result(message, BEGUN)
        if message.get("method") == "tools/list":
            ask = json.dumps({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
            tools = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": []}}
            events = f": hello\n\ndata: {ask}\n\ndata: {json.dumps(tools)}\n\n"
            return http("200 OK", events.encode(), "Content-Type: text/event-stream")
        if "error" in message:
            answered.append(message)
        return http("202 Accepted", b"")

    captured(answer)
    assert {it["id"] for it in answered} == {"q"}
    assert all(it["error"]["code"] == -32601 for it in answered)  # type: ignore[index]


def test_a_flood_of_questions_ends_the_capture() -> None:
    def answer(message: dict[str, object], headers: dict[str, str]) -> bytes:
        if message.get("method") == "initialize":
            return result(message, BEGUN)
        if message.get("method") == "tools/list":
            ask = b'data: {"jsonrpc":"2.0","id":1,"method":"roots/list"}\n\n'
            return http("200 OK", ask * 100, "Content-Type: text/event-stream")
        return http("202 Accepted", b"")

    with pytest.raises(CaptureError, match="more than 64 questions"):
        captured(answer)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (http("401 Unauthorized", b""), "needs a credential"),
        (
            http("307 Elsewhere", b"", "Location: http://169.254.169.254/"),
            "sends elsewhere",
        ),
        (http("200 OK", b"<html>", "Content-Type: text/html"), "no answer of MCP"),
        (http("200 OK", b"nonsense", "Content-Type: application/json"), "no JSON-RPC"),
        (http("200 OK", b"data: x\n\n", "Content-Type: text/event-stream"), "no JSON-RPC"),
        (http("200 OK", b"", "Content-Type: text/event-stream"), "no answer of MCP"),
        (CUT, "cut short"),
        (
            CUT.replace(b": 9", b": 99999999") + b"x" * (17 << 20),
            "large",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (80 << 10) + b"\r\n\r\n", "large"),
        (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP"),
        (b"", "cut short"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_why(reply: bytes, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        captured(lambda message, headers: reply)


def test_another_ones_answer_is_none() -> None:
    def answer(message: dict[str, object], headers: dict[str, str]) -> bytes:
        return result({**message, "id": 99}, BEGUN)

    with pytest.raises(CaptureError, match="no answer of MCP"):
        captured(answer)


@pytest.mark.parametrize("value", ["a\r\nX: y", "caf\u00e9", "a\x00"])
def test_a_credential_that_is_no_header_is_not_sent(value: str) -> None:
    with pytest.raises(CaptureError, match="cannot be a header") as raised:
        asyncio.run(capture_http("http://127.0.0.1:9/", header=("Authorization", value)))
    assert value not in str(raised.value)


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        with pytest.raises(CaptureError, match=r"within 0\.5 s|longer than 0\.5 s"):
            asyncio.run(capture_http(url, seconds=0.5))


@pytest.mark.parametrize(
    "url",
    ["http://tickets.example/mcp", "https://10.1.2.3/mcp", "https://169.254.169.254/"],
)
def test_an_address_that_the_operator_did_not_allow_is_not_asked(url: str) -> None:
    with pytest.raises(CaptureError, match=r"must be https|private address"):
        asyncio.run(capture_http(url))
