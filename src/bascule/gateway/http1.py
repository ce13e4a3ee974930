"""HTTP/1.1 towards clients: one protocol for every path of a port.

llhttp (through httptools) parses; what it lets through and could mean two things to two
readers is refused: see `heads.py`. Requests of a connection are answered in order,
one at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from http import HTTPStatus
from typing import cast

import httptools

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.gateway.exchange import ClientGoneError, Exchange, Handler, Headers
from bascule.gateway.heads import head_problem
from bascule.gateway.proxies import Proxies
from bascule.gateway.seen_head import MAX_BYTES, SeenHead
from bascule.gateway.steps import Step
from bascule.identity.client_certificate import ClientCertificate, client_certificate
from bascule.net.addresses import source_network

MAX_PIPELINED = 64
MAX_HEADERS = 100
WRITE_HIGH_WATER = 256 << 10
"""Bytes waiting for a slow client above which its upstream is not read."""

_SINGLE = frozenset(
    {
        b"host",
        b"authorization",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"origin",
        b"accept",
        b"cookie",
        b"expect",
    }
)
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus
}


class ServerConnection(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_closing",
        "_connections",
        "_current",
        "_drain",
        "_handler",
        "_head",
        "_head_bytes",
        "_headers",
        "_incoming",
        "_max_head_bytes",
        "_parser",
        "_proxies",
        "_queue",
        "_read_paused",
        "_repeated_lines",
        "_seen",
        "_since",
        "_source",
        "_sources",
        "_to_handle",
        "_trailers",
        "_transport",
        "_write_paused",
        "certificate",
        "limits",
        "peer",
    )

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        connections: set[ServerConnection],
        sources: Counter[str],
        proxies: Proxies | None = None,
    ) -> None:
        self._handler = handler
        self._sources = sources
        """Connections by source, of clients that connect themselves."""
        self._source = ""
        self._proxies = proxies
        """Who may connect, when it is not the clients themselves."""
        self.limits = limits
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        """The request that is being answered."""
        self._incoming: Exchange | None = None
        """The request that is being read."""
        self._queue: deque[Exchange] = deque()
        """Requests that were pipelined behind the current one."""
        self._to_handle: Exchange | None = None
        """The current request until its handler starts: with its body if that came too."""
        self._headers: dict[bytes, bytes] = {}
        """Of the request being read, until its head is complete."""
        self._head_bytes = 0
        """Of the request being read, what came before its head was complete."""
        self._max_head_bytes = limits.header_bytes
        self._repeated_lines = 0
        self._trailers = False
        self._head = b""
        """The bytes up to the first empty line of the last piece that began a request."""
        self._seen: SeenHead | None = None
        """The last head that may be taken again without the parser."""
        self._closing = False
        self._read_paused = False
        self._write_paused = False
        self._drain: Step[None] | None = None
        self._since = monotonic()
        """When the connection last came to rest or the request being read began."""
        self.peer = ""
        self.certificate: ClientCertificate | None = None
        """What the client has shown, verified (RFC 8705)."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert(binary_form=True)
        self.certificate = None if shown is None else client_certificate(shown)
        peername = transport.get_extra_info("peername")
        if isinstance(peername, tuple):
            self.peer = peername[0]
            self._source = "" if self._proxies is not None else source_network(self.peer)
        else:
            self.peer = "local"
        if self._is_too_many():
            self._transport.abort()
            return
        self._connections.add(self)
        if self._source:
            self._sources[self._source] += 1
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def _is_too_many(self) -> bool:
        """Tell whether there is no place: one source gets half of them at most."""
        most = self.limits.connections
        of_source = self._sources[self._source] if self._source else 0
        return len(self._connections) >= most or of_source >= max(most // 2, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for this client."""
        if self in self._connections:
            self._connections.discard(self)
            self._leave_source()
        self._closing = True
        self._queue.clear()
        lost = [item for item in (self._current, self._incoming) if item is not None]
        self._current = self._incoming = None
        for exchange in dict.fromkeys(lost):
            exchange.lose()
        if self._drain is not None:
            self._drain.fail(ClientGoneError())

    def _leave_source(self) -> None:
        if self._source:
            self._sources[self._source] -= 1
            if not self._sources[self._source]:
                del self._sources[self._source]

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless it is the request before with another body."""
        if self._closing:
            return
        seen = self._seen
        if (
            seen is not None
            and self._incoming is None
            and self._current is None
            and seen.begins(data)
        ):
            self._take(seen, data)
            return
        try:
            if self._incoming is None and self._repeats_head(data):
                self._parse_again(data)
            else:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "upgrade is not supported")
        except httptools.HttpParserError:
            self._refuse(400, "request is not valid HTTP/1.1")
        if self._to_handle is not None:
            self._start()
        elif self._incoming is not None and not self._trailers:
            # A head that is not complete yet may be one header without an end.
            self._head_bytes += len(data)
            if self._head_bytes > self._max_head_bytes:
                self._refuse(431, "request head is too large")

    def _take(self, seen: SeenHead, data: bytes) -> None:
        """Take a whole request whose head the parser had just before."""
        exchange = self._current = Exchange(self)
        self._since = exchange.started
        exchange.take(seen, data[len(seen.data) :])
        self._handler.handle(exchange)

    def _repeats_head(self, data: bytes) -> bool:
        """Tell whether a piece begins with the bytes that may be the last one's head."""
        end = data.find(b"\r\n\r\n") + 4
        if 4 < end == len(self._head) and data.startswith(self._head):
            return True
        self._head = data[:end] if 4 < end <= MAX_BYTES else b""
        return False

    def _parse_again(self, data: bytes) -> None:
        """Parse a request that may have the same head, and remember it if that is sure.

        The parser is given the head by itself: when that is complete then, and of its body
        nothing was found, it ends there and not before. What follows is remembered to be
        as long only if every byte of it was the body.
        """
        end = len(self._head)
        self._parser.feed_data(self._head)
        exchange = self._incoming
        if self._closing:
            return
        ends = exchange is not None and self._trailers and not exchange.received
        self._parser.feed_data(data[end:])
        if (
            ends
            and exchange is not None
            and exchange.complete
            and exchange.keep_alive
            and 0 < exchange.received == len(data) - end
        ):
            self._seen = exchange.seen(self._head)

    def eof_received(self) -> bool:
        """Half-closed connections are not kept."""
        return False

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        if self._drain is not None:
            drain, self._drain = self._drain, None
            drain.resolve(None)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._closing:
            return
        self._incoming = Exchange(self)
        self._headers = {}
        self._head_bytes = self._repeated_lines = 0
        self._trailers = False
        self._since = self._incoming.started

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if self._incoming is not None:
            self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; after the head it is a trailer, and refused."""
        if self._incoming is None:
            return
        headers = self._headers
        if self._trailers:
            self._refuse(400, "trailers are not accepted")
        elif len(headers) + self._repeated_lines >= MAX_HEADERS:
            self._refuse(431, "request head is too large")
        elif (key := name.lower()) not in headers:
            headers[key] = value
        else:
            self._repeat(headers, key, value)

    def _repeat(self, headers: dict[bytes, bytes], key: bytes, value: bytes) -> None:
        """Take a header that stands a second time."""
        if key in _SINGLE or key.startswith(b"mcp-"):
            self._refuse(400, f"header `{key.decode('ascii')}` stands twice")
        else:
            headers[key] += b", " + value
            self._repeated_lines += 1

    def on_headers_complete(self) -> None:
        """Check the head and hand the request over when it is its turn."""
        exchange = self._incoming
        if exchange is None:
            return
        self._trailers = True
        exchange.method = self._parser.get_method().decode("ascii")
        exchange.version = self._parser.get_http_version()
        exchange.keep_alive = self._parser.should_keep_alive()
        exchange.headers = self._headers
        exchange.header = self._headers.get
        problem = head_problem(exchange, self.limits)
        if self._proxies is not None and problem is None:
            problem = self._ask_proxy(self._proxies, exchange)
        if problem is not None:
            self._refuse(*problem)
        elif self._current is None:
            self._current = self._to_handle = exchange
        elif len(self._queue) >= MAX_PIPELINED:
            self._refuse(400, "too many pipelined requests")
        else:
            self._queue.append(exchange)
            self._pause_reading()

    def _ask_proxy(self, proxies: Proxies, exchange: Exchange) -> tuple[int, str] | None:
        """Learn for whom the peer asks; refuse a peer that is no proxy of ours."""
        if not proxies.trusts(self.peer):
            return 403, "peer is no proxy of `server.behind_proxy`"
        exchange.peer = proxies.client(self.peer, exchange.header(b"x-forwarded-for"))
        return None

    def _start(self) -> None:
        """Let the current request be answered."""
        exchange, self._to_handle = self._to_handle, None
        if exchange is not None:
            self._handler.handle(exchange)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._incoming is not None and not self._incoming.add_body(body):
            self._refuse(413, "request body is too large")

    def on_message_complete(self) -> None:
        """The request has arrived."""
        exchange, self._incoming = self._incoming, None
        if exchange is None:
            return
        self._since = monotonic()
        exchange.end_body()
        if exchange is self._to_handle:
            self._start()
        elif exchange.answered and not exchange.streaming and exchange is self._current:
            self._next()

    # Answers

    def expect_body(self, exchange: Exchange) -> None:
        """Tell a client that asks first to send its body (RFC 9110 §10.1.1)."""
        if not exchange.complete and b"expect" in exchange.headers:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send_whole(
        self, exchange: Exchange, status: int, headers: Headers, body: bytes
    ) -> None:
        """Write an answer and go on to the next request."""
        if exchange is not self._current:
            return
        if not exchange.complete:
            # The rest of the body would have to be read first; a small one is, and thrown
            # away, so that clients see the answer rather than a reset.
            exchange.discard = True
        self._write(
            b"%b%b%b%b\r\n%b"
            % (
                _STATUS_LINES[status],
                headers,
                b"" if status == 204 else b"Content-Length: %d\r\n" % len(body),
                b"" if self._stays_open(exchange) else b"Connection: close\r\n",
                b"" if exchange.method == "HEAD" else body,
            )
        )
        if exchange.complete:
            self._next()

    def send_head(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Write the head of a streamed answer."""
        close = b"" if self._stays_open(exchange) else b"Connection: close\r\n"
        self._write(
            b"%b%bTransfer-Encoding: chunked\r\n%b\r\n"
            % (_STATUS_LINES[status], headers, close)
        )

    def send_chunk(self, data: bytes) -> None:
        """Write a piece of a streamed answer."""
        if data:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self, exchange: Exchange) -> None:
        """Write the end of a streamed answer and go on to the next request."""
        if exchange is self._current:
            self._write(b"0\r\n\r\n")
            self._next()

    def drained(self) -> Step[None]:
        """Wait until there is room for more."""
        step: Step[None] = Step()
        if self._closing:
            step.fail(ClientGoneError())
        elif self._write_paused:
            self._drain = step
        else:
            step.resolve(None)
        return step

    def abort(self) -> None:
        """Cut the connection."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # Housekeeping, called about once a second

    def expire(self, now: float, *, draining: bool) -> None:
        """Enforce the time-outs; when draining, close what is at rest."""
        waited = now - self._since
        incoming = self._incoming
        if self._closing:
            # Who does not read what was written to it would keep the connection for ever.
            if self._current is None and waited > self.limits.idle_seconds:
                self.abort()
        elif incoming is not None:
            limit = (
                self.limits.body_seconds if self._trailers else self.limits.header_seconds
            )
            if waited > limit:
                self._refuse(408, "request took too long to arrive")
        elif self._current is None and (draining or waited > self.limits.idle_seconds):
            self.close()

    def close(self) -> None:
        """Close once what was written has gone out."""
        self._closing = True
        self._since = monotonic()
        if self._transport is not None:
            self._transport.close()

    def _stays_open(self, exchange: Exchange) -> bool:
        return exchange.keep_alive and not self._closing

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def _next(self) -> None:
        exchange, self._current = self._current, None
        self._since = monotonic()
        if exchange is None or not self._stays_open(exchange):
            self.close()
            return
        if not self._queue:
            if self._read_paused:
                self._resume_reading()
            return
        self._current = self._queue.popleft()
        self._handler.handle(self._current)

    def _pause_reading(self) -> None:
        self._read_paused = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        self._read_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer what cannot be read on, and close.

        Behind a request that is still being answered there is no place for an answer, so
        then the connection is cut when that one is done.
        """
        if self._closing:
            return
        incoming, self._incoming = self._incoming, None
        self._closing = True
        self._queue.clear()
        self._to_handle = None
        if self._current is None or self._current is incoming:
            answered = incoming is not None and incoming.answered
            if not answered:
                body = sentence.encode() + b"\n"
                self._write(
                    b"%bContent-Type: text/plain\r\nContent-Length: %d\r\n"
                    b"Connection: close\r\n\r\n%b"
                    % (_STATUS_LINES[status], len(body), body)
                )
            self._current = None
            if incoming is not None:
                incoming.lose()
            self.close()
