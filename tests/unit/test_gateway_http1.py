"""HTTP/1.1 towards clients, byte by byte over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.listener import Listener, bind
from bascule.gateway.steps import Run
from certificates import new_authority

LIMITS = Limits(
    body_bytes=2048,
    header_bytes=4096,
    header_seconds=1,
    body_seconds=1,
    idle_seconds=1,
    connections=20,
)
LARGE = b"x" * (64 << 20)
"""More than any socket takes without a reader."""


@dataclass
class Echo:
    """Answers each request with what it understood of it."""

    seen: list[str] = field(default_factory=list)
    crashes: list[Exception] = field(default_factory=list)

    def handle(self, exchange: Exchange) -> None:
        Run(self.answer(exchange), self)

    def crashed(self, problem: Exception) -> None:
        self.crashes.append(problem)

    def ended(self) -> None:
        pass

    async def answer(self, exchange: Exchange) -> None:
        try:
            body = await exchange.body()
        except ClientGoneError:
            self.seen.append("gone")
            return
        self.seen.append(f"{exchange.method} {exchange.path} {body.decode()}")
        if exchange.path == "/stream":
            exchange.start_stream(200, b"")
            for piece in (b"one", b"two"):
                exchange.send_chunk(piece)
                await exchange.drained()
            exchange.end_stream()
        elif exchange.path == "/large":
            exchange.respond(200, b"", LARGE)
        else:
            exchange.respond(200, b"", b"<" + body + b">")


class Server:
    """The listener in a thread of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.echo = Echo()
        self.loop = asyncio.new_event_loop()
        self.listener = Listener(bind("127.0.0.1:0"), self.echo, LIMITS, tls=tls)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.call(self.listener.start())

    def call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(5)  # type: ignore[arg-type]

    def stop(self) -> None:
        async def end() -> None:
            self.listener.stop_accepting()
            self.listener.abort()
            await asyncio.sleep(0)

        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    def expire(self) -> None:
        async def tick() -> None:
            self.listener.expire()

        self.call(tick())

    def expire_until(self, reached: Callable[[], bool]) -> None:
        """Let time-outs come about."""
        end = monotonic() + 30
        while not reached():
            assert monotonic() < end
            self.expire()

    def exchange(self, *pieces: bytes, quiet: float = 0.2) -> bytes:
        """Send pieces and give all that comes back until the server closes or is quiet.

        `quiet`: seconds without anything, once something came.
        """
        with socket.create_connection(("127.0.0.1", self.listener.port), 5) as sock:
            for piece in pieces:
                sock.sendall(piece)
            found = b""
            try:
                while data := sock.recv(65536):
                    found += data
                    sock.settimeout(quiet)
            except TimeoutError:
                found += b"[open]"
            except ConnectionResetError:
                found += b"[reset]"
            return found


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()
    assert running.echo.crashes == []


def post(body: bytes = b"hi", *, head: bytes = b"", path: bytes = b"/x") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n%b" % (
        path,
        len(body),
        head,
        body,
    )


def test_requests_on_one_connection_are_answered_in_order(server: Server) -> None:
    answer = server.exchange(post(b"1") + post(b"2") + post(b"3"))
    assert [answer.index(b"<%d>" % n) for n in (1, 2, 3)] == sorted(
        answer.index(b"<%d>" % n) for n in (1, 2, 3)
    )
    assert answer.endswith(b"[open]")


def test_a_request_cut_anywhere_is_one_request(server: Server) -> None:
    whole = post(b"hello")
    for cut in (1, 9, 17, 25, 40, len(whole) - 1):
        assert b"<hello>" in server.exchange(whole[:cut], whole[cut:])


def test_a_chunked_body_is_read(server: Server) -> None:
    request = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"<abcde>" in server.exchange(request, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")


def test_a_stream_arrives_in_chunks_and_leaves_the_connection_open(server: Server) -> None:
    answer = server.exchange(post(path=b"/stream") + post(b"after"))
    assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" in answer
    assert b"<after>" in answer


def test_a_client_that_asks_first_is_told_to_go_on(server: Server) -> None:
    request = post(head=b"Expect: 100-continue\r\n")
    with socket.create_connection(("127.0.0.1", server.listener.port), 5) as sock:
        sock.sendall(request[:-2])
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hi")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_a_client_that_sent_its_body_already_is_just_answered(server: Server) -> None:
    # RFC 9110 §10.1.1: then `100 Continue` may be left out.
    answer = server.exchange(post(head=b"Expect: 100-continue\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_head_of_many_small_pieces_is_bounded(server: Server) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nLong: "
    pieces = [b"x" * 1000] * 6
    assert server.exchange(head, *pieces).startswith(b"HTTP/1.1 431")


def test_the_lines_of_a_head_are_bounded_also_where_they_repeat(server: Server) -> None:
    assert server.exchange(post(head=b"Via: a\r\n" * 90)).startswith(b"HTTP/1.1 200")
    assert server.exchange(post(head=b"Via: a\r\n" * 120)).startswith(b"HTTP/1.1 431")


CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def length(value: bytes) -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\nhi" % value


def encoding(value: bytes, *, version: bytes = b"1.1") -> bytes:
    head = b"POST /x HTTP/%b\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n" % (version, value)
    return head + b"0\r\n\r\n"


def again(header: bytes) -> bytes:
    """Give a request that has a header twice, with the same value."""
    return post(head=b"%b: a\r\n%b: a\r\n" % (header, header.swapcase()))


REFUSED = {
    "missing host": (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
    "two hosts": (post(head=b"Host: b\r\n"), 400),
    "two authorizations": (post(head=b"Authorization: a\r\nAuthorization: b\r\n"), 400),
    "two content types": (post(head=b"Content-Type: a\r\nContent-Type: b\r\n"), 400),
    "two mcp headers": (post(head=b"Mcp-Method: a\r\nmcp-method: a\r\n"), 400),
    "two parameters": (post(head=b"Mcp-Param-A: a\r\nMcp-Param-A: b\r\n"), 400),
    "two origins": (again(b"Origin"), 400),
    "two accepts": (again(b"Accept"), 400),
    "two cookies": (again(b"Cookie"), 400),
    "two expectations": (post(head=b"Expect: 100-continue\r\n" * 2), 400),
    "two sessions": (again(b"Mcp-Session-Id"), 400),
    "two versions": (again(b"MCP-Protocol-Version"), 400),
    "two lengths": (post(head=b"Content-Length: 2\r\n"), 400),
    "length, then chunks": (post(head=b"Transfer-Encoding: chunked\r\n"), 400),
    "chunks, then length": (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    "signed length": (length(b"+2"), 400),
    "negative length": (length(b"-2"), 400),
    "hexadecimal length": (length(b"0x2"), 400),
    "fractional length": (length(b"2.0"), 400),
    "no length": (length(b""), 400),
    "length beyond 64 bits": (length(b"18446744073709551618"), 400),
    "listed length": (length(b"2, 2"), 400),
    "spaced length": (length(b"2 2"), 400),
    "gzip, chunked": (encoding(b"gzip, chunked"), 400),
    "chunked twice": (encoding(b"chunked, chunked"), 400),
    "chunked, then not": (encoding(b"chunked, identity"), 400),
    "xchunked": (encoding(b"xchunked"), 400),
    "identity": (encoding(b"identity"), 400),
    "quoted chunked": (encoding(b'"chunked"'), 400),
    "chunked with a parameter": (encoding(b"chunked;q=1"), 400),
    "two encodings": (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "1.0 with chunks": (encoding(b"chunked", version=b"1.0"), 400),
    "version 2.0": (b"POST /x HTTP/2.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 505),
    "absolute form": (post(path=b"http://a/x"), 400),
    "absolute form with another host": (post(path=b"http://evil.example/x"), 400),
    "authority form": (b"GET a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space in the target": (post(path=b"/x y"), 400),
    "nul in the target": (post(path=b"/x\x00y"), 400),
    "target beyond ASCII": (post(path=b"/caf\xe9"), 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": (post(path=b"/x#y"), 400),
    "tunnel": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "upgrade": (
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        400,
    ),
    "lower-case method": (b"post /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "made-up method": (b"FETCH /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no version": (b"GET /x\r\nHost: a\r\n\r\n", 505),
    "version 1.2": (b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "underscore": (post(head=b"Content_Length: 9\r\n"), 400),
    "obs-text": (post(head=b"X: caf\xe9\r\n"), 400),
    "folded line": (post(head=b"X: a\r\n b\r\n"), 400),
    "folded first line": (b"POST /x HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "space before colon": (post(head=b"X : a\r\n"), 400),
    "space in a name": (post(head=b"X Y: a\r\n"), 400),
    "no name": (post(head=b": a\r\n"), 400),
    "no colon": (post(head=b"Xa\r\n"), 400),
    "name beyond ASCII": (post(head=b"caf\xe9: a\r\n"), 400),
    "bare line feed": (b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n", 400),
    "bare line feed in a head": (post(head=b"X: a\nHost: b\r\n"), 400),
    "bare carriage return": (post(head=b"X: a\rHost: b\r\n"), 400),
    "nul": (post(head=b"X: a\x00b\r\n"), 400),
    "nul in a name": (post(head=b"X\x00: a\r\n"), 400),
    "control character": (post(head=b"X: a\x1bb\r\n"), 400),
    "delete character": (post(head=b"X: a\x7fb\r\n"), 400),
    "trailer like a header": (CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\n", 400),
    "trailer": (CHUNKED + b"0\r\nX: y\r\n\r\n", 400),
    "prefixed chunk size": (CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n", 400),
    "signed chunk size": (CHUNKED + b"+2\r\nhi\r\n0\r\n\r\n", 400),
    "spaced chunk size": (CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n", 400),
    "no chunk size": (CHUNKED + b"\r\nhi\r\n0\r\n\r\n", 400),
    "chunk size beyond 64 bits": (CHUNKED + b"1" * 17 + b"\r\nhi\r\n", 400),
    "chunk longer than its size": (CHUNKED + b"1\r\nhi\r\n0\r\n\r\n", 400),
    "chunk ended by a line feed": (CHUNKED + b"2\r\nhi\n0\r\n\r\n", 400),
    "chunk size ended by a line feed": (CHUNKED + b"2\nhi\r\n0\r\n\r\n", 400),
    "expectation": (post(head=b"Expect: 200-maybe\r\n"), 417),
    "long head": (post(head=b"X: " + b"a" * 5000 + b"\r\n"), 431),
    "many headers": (post(head=b"X: a\r\n" * 150), 431),
    "long target": (post(path=b"/" + b"a" * 5000), 431),
    "declared body": (post(b"x" * 4000), 413),
    "chunked body": (CHUNKED + b"fa0\r\n" + b"x" * 4000 + b"\r\n0\r\n\r\n", 413),
    "not http": (b"\x16\x03\x01\x02\x00\x01", 400),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_two_parsers_could_read_differently_is_refused(
    server: Server, name: str
) -> None:
    request, status = REFUSED[name]
    answer = server.exchange(request + post(b"smuggled"), quiet=5)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1, "one answer, then the connection ends"
    assert not answer.endswith(b"[open]")
    assert not any("smuggled" in request for request in server.echo.seen)


def test_a_pipeline_that_turns_bad_is_cut_behind_the_good_part(server: Server) -> None:
    answer = server.exchange(post(b"good") + post(head=b"Host: b\r\n"), quiet=5)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not answer.endswith(b"[open]")


def test_too_many_pipelined_requests_are_not_kept(server: Server) -> None:
    answer = server.exchange(post(b"1") * 500)
    assert not answer.endswith(b"[open]") or answer.count(b"<1>") == 500


@pytest.mark.parametrize(
    "part",
    [b"POST /x HT", b"POST /x HTTP/1.1\r\nHost: a\r\n", post(b"hello")[:-3]],
    ids=repr,
)
def test_a_request_that_does_not_come_to_its_end_is_timed_out(
    server: Server, part: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.listener.port), 5) as sock:
        sock.sendall(part)
        sock.settimeout(0.05)
        answer = b""
        for _ in range(100):
            server.expire()
            try:
                answer = sock.recv(1000)
                break
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_is_noticed(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.listener.port), 5) as sock:
        sock.sendall(post(b"hello")[:-3])
        while not server.listener.connections:
            pass
    while server.listener.connections:
        pass
    assert server.echo.seen == ["gone"]


@pytest.mark.parametrize(
    "request_", [post(path=b"/large"), post(path=b"/large", head=b"Connection: close\r\n")]
)
def test_a_client_that_does_not_read_its_answer_is_cut(
    server: Server, request_: bytes
) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.listener.port))
        sock.sendall(request_)
        assert sock.recv(12) == b"HTTP/1.1 200"
        server.expire_until(lambda: not server.listener.connections)


def test_a_connection_without_a_request_is_closed(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.listener.port), 30) as sock:
        server.expire_until(lambda: len(server.listener.connections) == 1)
        server.expire_until(lambda: not server.listener.connections)
        assert sock.recv(1) == b""


def connect(stack: contextlib.ExitStack, server: Server, source: str) -> socket.socket:
    """Connect from an address of loopback."""
    place = ("127.0.0.1", server.listener.port)
    made = socket.create_connection(place, 5, source_address=(source, 0))
    return stack.enter_context(made)


def fill(stack: contextlib.ExitStack, server: Server, *sources: str) -> socket.socket:
    """Take half of all connections from each source; gives the first one."""
    made = [
        connect(stack, server, source)
        for source in sources
        for _ in range(LIMITS.connections // 2)
    ]
    server.expire_until(lambda: len(server.listener.connections) == len(made))
    return made[0]


def assert_refused(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""


def assert_served(sock: socket.socket) -> None:
    sock.sendall(post(b"served"))
    assert b"<served>" in sock.recv(1000)


def test_more_connections_than_allowed_are_refused_and_the_others_served(
    server: Server,
) -> None:
    with contextlib.ExitStack() as stack:
        first = fill(stack, server, "127.0.0.1", "127.0.0.2")
        assert_refused(connect(stack, server, "127.0.0.3"))
        assert_served(first)


def test_one_source_does_not_take_all_connections(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        first = fill(stack, server, "127.0.0.1")
        assert_refused(connect(stack, server, "127.0.0.1"))
        assert_served(connect(stack, server, "127.0.0.2"))
        first.close()
        server.expire_until(
            lambda: len(server.listener.connections) < LIMITS.connections // 2 + 1
        )
        assert_served(connect(stack, server, "127.0.0.1"))


def test_who_never_ends_a_tls_handshake_is_cut(tmp_path: Path) -> None:
    running = Server(new_authority().server(tmp_path, "127.0.0.1"))
    try:
        with socket.create_connection(("127.0.0.1", running.listener.port), 30) as sock:
            sock.sendall(b"\x16\x03\x01")
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
    finally:
        running.stop()
