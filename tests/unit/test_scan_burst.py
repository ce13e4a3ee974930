"""Many requests in one go, to servers that like it and to others."""

from __future__ import annotations

import asyncio

from bascule.scan.absent import absent
from bascule.scan.asked import Asked
from bascule.scan.burst import burst
from bascule.scan.exchange import Limits
from bascule.scan.paths import PATHS
from canned import Heard, http, json, serving, talking, wired

QUICK = Limits(first_seconds=0.3, head_seconds=0.3, body_seconds=0.3)
NOT_FOUND = http("404 Not Found", b"nothing here")
ASKED = [Asked("GET", f"/{number}") for number in range(6)]
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"


def bodies(answer: object, *, close: bool = False) -> tuple[list[bytes | None], int, int]:
    """Give what came, the connections that took, and how many requests were noted."""

    async def run() -> tuple[list[bytes | None], int, int]:
        async with serving(answer, close=close) as server, wired(limits=QUICK) as wire:  # type: ignore[arg-type]
            await wire.ask(server.place, "GET", "/first")
            found = await burst(wire, server.place, ASKED)
            noted = [it.status for it in wire.sent[1 : len(ASKED) + 1]]
            assert noted == [None if it is None else it.status for it in found]
            await wire.ask(server.place, "GET", "/again")
            got = [None if it is None else it.body for it in found]
            return got, server.connections, len(wire.sent)

    return asyncio.run(run())


def says_path(heard: Heard) -> bytes:
    return http("200 OK", heard.path.encode())


def test_gives_each_answer_to_its_request_on_one_connection() -> None:
    assert bodies(says_path) == ([b"/0", b"/1", b"/2", b"/3", b"/4", b"/5"], 1, 8)


def test_has_no_answer_where_a_server_closes_meanwhile() -> None:
    def answer(heard: Heard) -> bytes:
        closes = ["Connection: close"] if heard.path == "/1" else []
        return http("200 OK", heard.path.encode(), *closes)

    found, connections, _ = bodies(answer)
    assert found[:2] == [b"/0", b"/1"]
    assert connections == 2


def test_sends_nothing_where_a_server_closes_after_each_answer() -> None:
    async def run() -> None:
        closing = http("200 OK", b"", "Connection: close")
        async with serving(lambda _: closing) as server, wired() as wire:
            await wire.ask(server.place, "GET", "/")
            assert await burst(wire, server.place, ASKED) == [None] * len(ASKED)
            assert (len(server.heard), len(wire.sent)) == (1, 1)

    asyncio.run(run())


def test_stops_at_a_stream_of_events() -> None:
    def answer(heard: Heard) -> bytes:
        return STREAM if heard.path == "/2" else says_path(heard)

    found, connections, _ = bodies(answer)
    assert found == [b"/0", b"/1", None, None, None, None]
    assert connections == 2


def test_waits_no_longer_than_for_one_answer() -> None:
    def answer(heard: Heard) -> bytes | None:
        return None if heard.path == "/1" else says_path(heard)

    assert bodies(answer)[0] == [b"/0", None, None, None, None, None]


def test_reads_no_more_than_answers_may_be() -> None:
    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http("200 OK"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    async def run() -> None:
        async with talking(floods) as server, wired() as wire:
            await wire.ask(server.place, "GET", "/")
            assert await burst(wire, server.place, ASKED) == [None] * len(ASKED)

    asyncio.run(run())


def gone(answer: object) -> tuple[frozenset[str], tuple[str, ...]]:
    async def run() -> tuple[frozenset[str], tuple[str, ...]]:
        async with serving(answer) as server, wired(limits=QUICK) as wire:  # type: ignore[arg-type]
            await wire.ask(server.place, "GET", "/first")
            return await absent(wire, server.place, PATHS)

    return asyncio.run(run())


def test_leaves_out_the_paths_that_are_plainly_not_there() -> None:
    assert gone(lambda _: NOT_FOUND) == (frozenset(PATHS), ())


def test_keeps_each_path_that_says_anything_else() -> None:
    strange = {
        "/rpc": json("404 Not Found", {"jsonrpc": "2.0", "id": 1, "error": {"code": -1}}),
        "/http": http("401 Unauthorized"),
        "/message": http("307 Temporary Redirect", b"", "Location: /elsewhere"),
        "/api/mcp": json("400 Bad Request", {"error": "no session"}),
        "/sse": http("503 Service Unavailable"),
    }
    kept, _ = gone(lambda heard: strange.get(heard.path, NOT_FOUND))
    assert frozenset(PATHS) - kept == set(strange)


def test_keeps_paths_where_a_stream_may_be() -> None:
    def answer(heard: Heard) -> bytes:
        return STREAM if (heard.method, heard.path) == ("GET", "/sse") else NOT_FOUND

    kept, _ = gone(answer)
    assert "/sse" not in kept


def test_reads_what_a_site_says_of_itself() -> None:
    document = {"resource": "/team/one/mcp", "authorization_servers": ["https://x.example"]}

    def answer(heard: Heard) -> bytes:
        described = heard.path == "/.well-known/oauth-protected-resource"
        return json("200 OK", document) if described else NOT_FOUND

    assert gone(answer)[1] == ("/team/one/mcp",)
