"""The one way out of a scan, against servers that answer as they please."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from bascule.net.fetch import USER_AGENT
from bascule.scan.exchange import Limits, WireError
from bascule.scan.scope import OutOfScopeError, Scope, entries
from bascule.scan.target import Target
from bascule.scan.wire import Place, Wire
from canned import Answer, Heard, http, serving, talking, wired
from certificates import new_authority

SHORT = Limits(
    connect_seconds=1.0,
    first_seconds=0.2,
    head_seconds=0.2,
    body_seconds=0.2,
    body_bytes=1000,
)


def fine(heard: Heard) -> bytes:
    return http("200 OK", b"fine")


async def failure(raw: object, limits: Limits = SHORT) -> WireError:
    async with talking(raw) as server, wired(limits=limits) as wire:  # type: ignore[arg-type]
        with pytest.raises(WireError) as caught:
            await wire.ask(server.place, "GET", "/")
        return caught.value


def test_says_who_asks_and_which_host_and_nothing_else_of_the_scanner() -> None:
    async def run() -> None:
        async with serving(fine) as server, wired() as wire:
            answered = await wire.ask(server.place, "GET", "/x?y")
            assert (answered.status, answered.body, answered.cut) == (200, b"fine", "")
            (heard,) = server.heard
            assert (heard.method, heard.path) == ("GET", "/x?y")
            assert heard.headers == {
                "host": f"127.0.0.1:{server.port}",
                "user-agent": USER_AGENT,
                "accept-encoding": "identity",
            }

    asyncio.run(run())


def test_takes_host_and_origin_from_the_caller_but_no_line_of_its_own_in_them() -> None:
    async def run() -> None:
        async with serving(fine) as server, wired() as wire:
            legs = {"Host": "rebind.invalid", "Origin": "https://rebind.invalid"}
            await wire.ask(server.place, "POST", "/", legs, b"{}")
            headers = server.heard[0].headers
            assert headers["host"] == "rebind.invalid"
            assert headers["origin"] == "https://rebind.invalid"
            with pytest.raises(ValueError, match="cannot stand"):
                await wire.ask(server.place, "GET", "/", {"Origin": "a\r\nCookie: b"})
            assert len(server.heard) == 1

    asyncio.run(run())


def test_asks_again_on_one_connection_and_anew_where_the_server_closed_it() -> None:
    async def run(*, close: bool) -> int:
        async with serving(fine, close=close) as server, wired() as wire:
            for _ in range(3):
                assert (await wire.ask(server.place, "GET", "/")).body == b"fine"
            assert len(server.heard) == 3
            return server.connections

    assert asyncio.run(run(close=False)) == 1
    assert asyncio.run(run(close=True)) == 3


def test_writes_each_request_into_the_ledger_without_what_may_be_a_secret() -> None:
    async def run() -> None:
        async with serving(fine) as server, wired() as wire:
            await wire.ask(server.place, "GET", "/a?key=hidden")
            (sent,) = wire.sent
            assert (sent.method, sent.status) == ("GET", 200)
            assert sent.url == f"{server.url}/a?…"
            assert sent.address == f"127.0.0.1:{server.port}"
            assert sent.at > 1_700_000_000

    asyncio.run(run())


def test_does_not_follow_a_redirect() -> None:
    async def run() -> None:
        metadata = "Location: http://169.254.169.254/latest/meta-data/"
        async with serving(lambda _: http("302 Found", b"", metadata)) as server:
            async with wired() as wire:
                answered = await wire.ask(server.place, "GET", "/")
            assert answered.status == 302
            assert [it.address for it in wire.sent] == [f"127.0.0.1:{server.port}"]

    asyncio.run(run())


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def is_no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await reader.read()


async def has_a_head_without_end(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not reader.at_eof():
        writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (says_nothing, "silent"),
        (drips, "slow"),
        (hangs_up, "closed"),
        (is_no_http, "not_http"),
        (has_a_head_without_end, "not_http"),
    ],
)
def test_tells_how_a_server_fails_to_answer(raw: object, kind: str) -> None:
    limits = SHORT if kind != "not_http" else Limits()
    assert asyncio.run(failure(raw, limits)).failure == kind


def body(answer: Answer, limits: Limits = SHORT) -> tuple[bytes, str]:
    async def run() -> tuple[bytes, str]:
        async with serving(answer) as server, wired(limits=limits) as wire:
            answered = await wire.ask(server.place, "GET", "/")
            return answered.body, answered.cut

    return asyncio.run(run())


def test_keeps_what_came_in_time_of_a_body_that_does_not_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    assert body(lambda _: head + b": hello\n\n") == (
        b": hello\n\n",
        "the answer does not end in time",
    )


def test_stops_reading_a_body_of_a_gigabyte() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"
    content, cut = body(lambda _: head + b"x" * 100_000, Limits(body_bytes=1000))
    assert cut == "the answer is larger than 1000 bytes"
    assert len(content) <= 1000


async def sends_a_gigabyte(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


def test_stops_reading_chunks_without_end() -> None:
    async def run() -> None:
        async with talking(sends_a_gigabyte) as server, wired() as wire:
            limits = Limits(body_bytes=200_000)
            answered = await wire.ask(server.place, "GET", "/", limits=limits)
            assert answered.cut == "the answer is larger than 200000 bytes"

    asyncio.run(run())


def test_says_when_nobody_listens() -> None:
    async def run() -> None:
        async with serving(fine) as server:
            gone = server.place
        async with wired() as wire:
            with pytest.raises(WireError) as caught:
                await wire.ask(gone, "GET", "/")
            assert caught.value.failure == "refused"
            assert [it.status for it in wire.sent] == [None]

    asyncio.run(run())


def test_asks_over_tls_and_says_why_a_certificate_is_not_trusted(tmp_path: Path) -> None:
    authority = new_authority()

    async def run(name: str, trust: ssl.SSLContext) -> str:
        tls = authority.server(tmp_path, name)
        async with serving(fine, tls) as server, wired(trust=lambda: trust) as wire:
            place = Place("localhost", server.port, True, ("127.0.0.1",))
            answered = await wire.ask(place, "GET", "/")
            assert answered.status == 200
            assert answered.tls is not None
            assert answered.tls.version == "TLSv1.3"
            return answered.tls.problem

    trusted, other = authority.trust(), new_authority().trust()
    assert asyncio.run(run("localhost", trusted)) == ""
    assert "Hostname mismatch" in asyncio.run(run("other.example", trusted))
    assert asyncio.run(run("localhost", other)) != ""


def refuse_strangers(listener: socket.socket, tls: ssl.SSLContext) -> None:
    """Shake hands as a server does that wants a certificate: its alert comes after."""
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            if connection.recv(1, socket.MSG_PEEK) == b"":
                return
            tls.wrap_socket(connection, server_side=True).close()


def test_says_that_a_client_certificate_is_wanted(tmp_path: Path) -> None:
    authority = new_authority()
    tls = authority.server(tmp_path, "localhost")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(cadata=authority.pem)

    async def run(port: int) -> str:
        async with wired(trust=authority.trust) as wire:
            with pytest.raises(WireError) as caught:
                await wire.ask(Place("localhost", port, True, ("127.0.0.1",)), "GET", "/")
            return caught.value.failure

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=refuse_strangers, args=(listener, tls))
        server.start()
        assert asyncio.run(run(listener.getsockname()[1])) == "client_certificate"
        socket.create_connection(listener.getsockname()).close()
        server.join()


def test_says_that_a_port_does_not_speak_tls() -> None:
    async def run() -> None:
        async with serving(fine) as server, wired(limits=SHORT) as wire:
            place = Place("localhost", server.port, True, ("127.0.0.1",))
            with pytest.raises(WireError) as caught:
                await wire.ask(place, "GET", "/")
            assert caught.value.failure == "tls"

    asyncio.run(run())


class Rebinding:
    """Gives an address of this machine first, and then the metadata service's."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return [self.answers.pop(0)] if self.answers else ["169.254.169.254"]


def owning(*named: str) -> Scope:
    return Scope(owned=True, named=entries(named))


def test_looks_a_name_up_once_and_connects_to_what_was_checked() -> None:
    async def run() -> None:
        resolver, owned = Rebinding("127.0.0.1"), owning("rebinds.example")
        async with serving(fine) as server, wired(scope=owned, resolver=resolver) as wire:
            target = Target.of_url(f"http://rebinds.example:{server.port}/mcp")
            place = await wire.place(target)
            assert (await wire.ask(place, "GET", "/mcp")).status == 200
            again = await wire.place(target)
            assert (await wire.ask(again, "GET", "/mcp")).status == 200
            assert resolver.asked == 1
            assert {it.address for it in wire.sent} == {f"127.0.0.1:{server.port}"}

    asyncio.run(run())


def test_does_not_even_look_up_a_strangers_name() -> None:
    async def run() -> None:
        resolver = Rebinding("127.0.0.1")
        async with wired(resolver=resolver) as wire:
            with pytest.raises(OutOfScopeError, match="--i-own-this"):
                await wire.place(Target.of_url("http://somebody.example/mcp"))
            assert resolver.asked == 0
            await wire.place(Target.of_url("http://localhost/mcp"))
            assert resolver.asked == 1
        async with wired(scope=owning("ours.example"), resolver=resolver) as wire:
            with pytest.raises(OutOfScopeError, match="was not named"):
                await wire.place(Target.of_url("http://named-by-a-server.example/as"))
            assert resolver.asked == 1

    asyncio.run(run())


def test_refuses_a_name_that_leads_to_the_metadata_service_whoever_owns_it() -> None:
    async def run() -> None:
        owned = owning("rebinds.example")
        async with wired(scope=owned, resolver=Rebinding()) as wire:
            with pytest.raises(OutOfScopeError, match="never probed"):
                await wire.place(Target.of_url("http://rebinds.example/mcp"))
            assert wire.sent == []

    asyncio.run(run())


def test_checks_again_at_the_connection() -> None:
    """A place that did not come through the gate leads nowhere."""

    async def run() -> None:
        async with wired() as wire:
            with pytest.raises(OutOfScopeError):
                await wire.ask(Place("x", 80, False, ("192.0.2.1",)), "GET", "/")

    asyncio.run(run())


async def dial_here(
    address: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Stand in for a network: whatever the address is, this machine answers."""
    return await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("close", [True, False])
def test_keeps_to_the_rate_with_other_machines(*, close: bool) -> None:
    """With connections, and with further requests on one that is open."""
    scope = Scope(owned=True, named=entries(["192.0.2.0/24"]))

    async def run() -> list[float]:
        async with (
            serving(fine, close=close) as server,
            wired(scope=scope, rate=100.0, dial=dial_here) as wire,
        ):
            place = Place("x", server.port, False, ("192.0.2.1",))
            for _ in range(7):
                await wire.ask(place, "GET", "/")
            return [it.at for it in wire.sent if it.status is not None]

    at = asyncio.run(run())
    assert len(at) == 7
    assert at[-1] - at[1] >= 0.039


def test_a_wire_has_no_cookie_and_no_credential_of_its_own() -> None:
    def sets_cookie(heard: Heard) -> bytes:
        return http("200 OK", b"", "Set-Cookie: a=b", 'WWW-Authenticate: Basic realm="x"')

    async def run() -> None:
        async with serving(sets_cookie) as server, wired() as wire:
            for _ in range(2):
                await wire.ask(server.place, "GET", "/")
            assert not {"cookie", "authorization"} & set(server.heard[1].headers)

    asyncio.run(run())
    assert Wire(scope=Scope()).sent == []
