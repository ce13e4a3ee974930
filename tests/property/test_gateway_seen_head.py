"""A head that was seen before on its connection: no stream of bytes is read otherwise.

Each connection is compared with one that remembers no heads and so parses everything.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bascule.config.model import Limits
from bascule.gateway import http1
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.http1 import ServerConnection
from bascule.gateway.proxies import Proxies
from bascule.gateway.steps import Run

LIMITS = Limits(body_bytes=200, header_bytes=1000)


def post(body: bytes = b"hello", *lines: bytes, length: bytes | None = None) -> bytes:
    size = b"%d" % len(body) if length is None else length
    head = (b"POST /c/x/mcp HTTP/1.1", b"Host: a", b"Content-Length: " + size, *lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Transport:
    """Keeps what is written and whether the connection lives."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.7", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Rig:
    """One connection; answers each request at once, or when told."""

    def __init__(
        self, *, remembers: bool, proxies: Proxies | None = None, waits: bool = False
    ) -> None:
        self.remembers = remembers
        self.waits = waits
        self.taken: list[tuple[Any, ...]] = []
        self.open: list[Exchange] = []
        self.transport = Transport()
        self.connection = ServerConnection(self, LIMITS, set(), Counter(), proxies)
        self.connection.connection_made(cast("Any", self.transport))

    def send(self, data: bytes) -> None:
        limit = http1.MAX_BYTES
        http1.MAX_BYTES = limit if self.remembers else 0
        try:
            if not self.transport.closed:
                self.connection.data_received(data)
        finally:
            http1.MAX_BYTES = limit

    def handle(self, exchange: Exchange) -> None:
        Run(self._answer(exchange), self)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            body = await exchange.body()
        except ClientGoneError:
            self.taken.append(("gone",))
            return
        head = exchange.method, exchange.target, exchange.version, exchange.peer
        headers = {**exchange.headers}
        assert all(exchange.header(name) == value for name, value in headers.items())
        self.taken.append((*head, headers, body, exchange.keep_alive))
        if self.waits:
            self.open.append(exchange)
        else:
            exchange.respond(200, b"", b"<" + body + b">")

    def crashed(self, problem: Exception) -> None:
        raise problem

    def ended(self) -> None:
        pass

    @property
    def state(self) -> tuple[Any, ...]:
        return self.taken, self.transport.written, self.transport.closed


def same(pieces: Sequence[bytes], **options: Any) -> Rig:
    """Send pieces to both, the first three times; give the one that remembers."""
    ours, other = Rig(remembers=True, **options), Rig(remembers=False, **options)
    for piece in [pieces[0], pieces[0], *pieces]:
        ours.send(piece)
        other.send(piece)
        assert ours.state == other.state, piece
    return ours


def cut(data: bytes, places: Iterator[int]) -> list[bytes]:
    ends = sorted({place % len(data) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What a parser was given since."""
    given: list[bytes] = []

    class Parser(http1.httptools.HttpRequestParser):  # type: ignore[misc]
        def feed_data(self, data: bytes) -> None:
            given.append(data)
            super().feed_data(data)

    monkeypatch.setattr(http1.httptools, "HttpRequestParser", Parser)
    return given


def test_a_request_like_the_one_before_is_not_parsed(parsed: list[bytes]) -> None:
    rig = Rig(remembers=True)
    for _ in range(2):
        rig.send(post(b"hello"))
    assert b"".join(parsed) == post(b"hello") * 2
    rig.taken.clear()
    parsed.clear()
    for body in (b"hullo", b"\r\n\r\nx", b"POST "):
        rig.send(post(body))
    assert parsed == []
    assert [it[5] for it in rig.taken] == [b"hullo", b"\r\n\r\nx", b"POST "]
    assert rig.transport.written.count(b"HTTP/1.1 200 ") == 5
    rig.send(post(b"longer body"))
    assert b"".join(parsed) == post(b"longer body")


BEFORE = post(b"hello", b"Authorization: Bearer a")
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTILE = {
    "a body that is a request": [BEFORE, post(post(b"x"), b"Authorization: Bearer a")],
    "one byte more": [BEFORE, BEFORE + b"x"],
    "one byte less": [BEFORE, BEFORE[:-1], b"!", BEFORE],
    "an empty line behind": [BEFORE, BEFORE + b"\r\n", BEFORE],
    "empty lines between": [BEFORE, b"\r\n", b"\r", b"\n\r\n", BEFORE],
    "empty lines before the first": [b"\r\n\r\n" + BEFORE, BEFORE, b"\r\n" + BEFORE],
    "a line feed before": [b"\n", BEFORE, b"\n" + BEFORE, BEFORE],
    "two at once": [BEFORE + BEFORE, BEFORE, BEFORE + BEFORE],
    "one and a half": [BEFORE, BEFORE + BEFORE[:40], BEFORE[40:], BEFORE],
    "half a head, then a whole request": [BEFORE, BEFORE[:30], BEFORE],
    "half a method, then a whole request": [BEFORE, b"PO", BEFORE],
    "half a body, then a whole request": [BEFORE, BEFORE[:-2], BEFORE],
    "the last one said to close": [
        BEFORE,
        post(b"hello", b"Authorization: Bearer a", b"Connection: close") + BEFORE,
        BEFORE,
    ],
    "closed in the same piece": [BEFORE + post(b"x", b"Connection: close"), BEFORE],
    "HTTP/1.0": [BEFORE.replace(b"1.1", b"1.0"), BEFORE.replace(b"1.1", b"1.0")],
    "HTTP/1.0 kept": [
        post(b"hello", b"Connection: keep-alive").replace(b"1.1", b"1.0"),
    ]
    * 3,
    "bare line feeds": [BEFORE, BEFORE.replace(b"\r\n", b"\n")],
    "a bare line feed at the end": [BEFORE, BEFORE.replace(b"\r\n\r\n", b"\n\n")],
    "a bare line feed in the blank line": [BEFORE, BEFORE.replace(b"\r\n\r\n", b"\r\n\n")],
    "a folded line": [post(b"hello", b"X: a", b" b")] * 2,
    "two lengths": [BEFORE, post(b"hello", b"Content-Length: 5"), BEFORE],
    "two lengths that differ": [BEFORE, post(b"hello", b"Content-Length: 0"), BEFORE],
    "length and chunks": [BEFORE, post(b"hello", b"Transfer-Encoding: chunked"), BEFORE],
    "chunks": [CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"] * 3,
    "chunks, then as many bytes as they held": [
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"hello",
        CHUNKED + b"5\r\nhel",
    ],
    "trailers": [CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"] * 2,
    "a zero length": [post(b""), post(b""), post(b"") + BEFORE, BEFORE],
    "no length": [b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"] * 3,
    "a length that is too long": [BEFORE, post(b"x" * 201), BEFORE],
    "a length of zeros": [post(b"hello", length=b"0005")] * 3,
    "an expectation": [post(b"hello", b"Expect: 100-continue")] * 3,
    "an upgrade": [BEFORE, post(b"hello", b"Connection: upgrade", b"Upgrade: h2c"), BEFORE],
    "a long head": [post(b"hello", b"X: " + b"y" * 5000)] * 2,
    "a head over the limit": [BEFORE, post(b"hello", b"X: " + b"y" * 1000), BEFORE],
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_sent_again_is_read_as_if_it_were_new(name: str) -> None:
    same(HOSTILE[name])


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_it_is_so_however_the_bytes_arrive(name: str) -> None:
    stream = b"".join(HOSTILE[name])
    shuffled = random.Random(1)  # noqa: S311 - places to cut, no secret
    for number in range(200):
        places = (shuffled.randrange(len(stream)) for _ in range(number % 7))
        same(cut(stream, places))


@pytest.mark.parametrize("place", range(len(BEFORE)))
def test_a_request_that_differs_in_one_byte_is_read_as_it_is(place: int) -> None:
    for byte in b"\r\n \t:,0a\x00\x80":
        changed = BEFORE[:place] + bytes((byte,)) + BEFORE[place + 1 :]
        same([BEFORE, BEFORE, changed, BEFORE])


def test_no_head_is_taken_up_on_another_connection(parsed: list[bytes]) -> None:
    first, second = Rig(remembers=True), Rig(remembers=True)
    for _ in range(3):
        first.send(BEFORE)
    parsed.clear()
    second.send(BEFORE)
    assert b"".join(parsed) == BEFORE


def test_a_head_is_not_taken_up_while_a_request_is_being_answered(
    parsed: list[bytes],
) -> None:
    rig = Rig(remembers=True, waits=True)
    for _ in range(3):
        rig.send(BEFORE)
        if len(rig.taken) < 3:
            rig.open.pop().respond(200, b"", b"")
    parsed.clear()
    rig.send(BEFORE)
    assert b"".join(parsed) == BEFORE
    assert len(rig.taken) == 3
    rig.open.pop().respond(200, b"", b"")
    assert len(rig.taken) == 4


def test_a_proxy_asks_for_whom_it_says_each_time() -> None:
    def asked(client: bytes) -> bytes:
        return post(b"hello", b"X-Forwarded-For: " + client)

    proxies = Proxies(("192.0.2.0/24",))
    one, other = asked(b"198.51.100.1"), asked(b"198.51.100.2")
    rig = same([one, one, other, one], proxies=proxies)
    peers = ["198.51.100.1", "198.51.100.1", "198.51.100.2", "198.51.100.1"]
    assert [it[3] for it in rig.taken[2:]] == peers


@pytest.mark.parametrize(
    "request_",
    [
        BEFORE.replace(b"1.1", b"1.0"),
        post(b"hello", b"Connection: close"),
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        post(b""),
        BEFORE + b"\r\n",
        BEFORE[:-1],
        b"\r\n" + BEFORE[:-1],
        post(b"hello", b"Host: b"),
    ],
)
def test_what_is_not_sure_to_be_the_same_again_is_not_remembered(request_: bytes) -> None:
    rig = Rig(remembers=True)
    for _ in range(3):
        rig.send(request_)
    assert rig.connection._seen is None


def test_one_that_is_sure_is_remembered() -> None:
    rig = Rig(remembers=True)
    rig.send(BEFORE)
    assert rig.connection._seen is None
    rig.send(BEFORE)
    assert rig.connection._seen is not None


def test_where_a_head_ends_says_the_parser_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Lenient(http1.httptools.HttpRequestParser):  # type: ignore[misc]
        def __init__(self, connection: ServerConnection) -> None:
            super().__init__(connection)
            self.set_dangerous_leniencies(
                lenient_optional_cr_before_lf=True, lenient_optional_lf_after_cr=True
            )

    monkeypatch.setattr(http1.httptools, "HttpRequestParser", Lenient)
    rig = Rig(remembers=True)
    for _ in range(2):
        rig.send(b"POST /x HTTP/1.1\nHost: a\nContent-Length: 7\n\n\r\n\r\nxyz\r\n\r\n")
    assert rig.taken[1][5] == b"\r\n\r\nxyz"
    assert rig.connection._seen is None


def test_the_token_of_a_head_is_not_shown() -> None:
    rig = Rig(remembers=True)
    for _ in range(2):
        rig.send(BEFORE)
    assert rig.connection._seen is not None
    assert "Bearer" not in repr(rig.connection._seen)


PARTS = st.sampled_from(
    [
        *(BEFORE, BEFORE, BEFORE, post(b"hello"), post(b"other"), post(b"longer one")),
        *(b"\r\n", b"\n", b"\r", b"X: y\r\n", b"hello", b"0\r\n\r\n", b"\r\n\r\n"),
        *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"POST "),
        *(BEFORE[:20], BEFORE[:-1], BEFORE[:-5], BEFORE[-5:], BEFORE[20:]),
        post(b"hello", b"Connection: close"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=6), places=st.lists(st.integers(0, 2000)))
@example(parts=[BEFORE, BEFORE[:-5], b"hello", BEFORE], places=[])
def test_no_stream_is_read_otherwise(parts: list[bytes], places: list[int]) -> None:
    same(parts)
    same(cut(b"".join(parts), iter(places)))
