"""HTTP/1.1 towards one upstream: kept connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.errors import BasculeError
from bascule.gateway.steps import Step
from bascule.net.addresses import ForbiddenAddressError, resolve
from bascule.oauthclient.challenge import MAX_LINES

CONNECT_SECONDS = 10
IDLE_SECONDS = 4.0
"""A kept connection older than this is not used: common servers close at five seconds."""
MAX_IDLE = 64
MAX_HEAD_BYTES = 64 << 10
BUFFER_HIGH_WATER = 256 << 10
"""Unread bytes of a stream above which the upstream is not read."""


class UpstreamError(BasculeError):
    """The upstream gave no usable answer; `outcome` goes into the record."""

    outcome = "upstream_failed"


class UpstreamTimeoutError(UpstreamError):
    """The upstream was silent for too long."""

    outcome = "timeout"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an upstream listens."""

    url: str
    private: tuple[str, ...] = ()
    """`[network] private` of the configuration."""
    socket: str | None = None
    """Path of the Unix socket where a hosted server is offered (see `hosted.py`)."""

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def host(self) -> str:
        """Name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return urlsplit(self.url).port or (443 if self.secure else 80)


class Response:
    """An upstream's answer; whole when it is no stream."""

    __slots__ = (
        "_buffered",
        "_chunks",
        "_connection",
        "_ended",
        "_error",
        "_wanted",
        "body",
        "challenges",
        "content_type",
        "edition",
        "nonce",
        "session_id",
        "status",
        "streams",
    )

    def __init__(
        self,
        connection: UpstreamConnection,
        status: int,
        content_type: bytes,
        session_id: bytes,
    ) -> None:
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._wanted: Step[bytes | None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self.status = status
        self.content_type = content_type
        self.session_id = session_id
        """`Mcp-Session-Id`; empty without."""
        self.edition = b""
        """`ETag`: of a hosted server, which definitions were in force."""
        self.challenges: tuple[bytes, ...] = ()
        """Values of `WWW-Authenticate`, a line each."""
        self.nonce = b""
        """`DPoP-Nonce`: what the next proof is to hold."""
        self.streams = content_type.startswith(b"text/event-stream")
        self.body = b""
        """All of it, unless this streams."""

    def chunk(self) -> Step[bytes | None]:
        """Wait for a stream's next piece; None at its end. Fails with UpstreamError."""
        step: Step[bytes | None] = Step()
        if self._chunks:
            piece = self._chunks.popleft()
            self._buffered -= len(piece)
            if self._buffered < BUFFER_HIGH_WATER // 2:
                self._connection.read_on()
            step.resolve(piece)
        elif self._error is not None:
            step.fail(self._error)
        elif self._ended:
            step.resolve(None)
        else:
            self._wanted = step
        return step

    def abandon(self) -> None:
        """Stop: closing the stream is how a modern request is cancelled."""
        self._connection.abandon()

    def wait_for_client(self) -> None:
        """Count no silence from now on: the upstream waits for its client's answer."""
        self._connection.patient = True

    @property
    def ended(self) -> bool:
        """The upstream has ended the stream and all was read."""
        return self._ended and not self._chunks

    # Called by the connection only.

    def feed(self, data: bytes) -> bool:
        """Take a piece; False when the reader is far behind."""
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            wanted.resolve(data)
            return True
        self._chunks.append(data)
        self._buffered += len(data)
        return self._buffered < BUFFER_HIGH_WATER

    def finish(self, error: Exception | None) -> None:
        """The stream is over, well or badly."""
        self._ended = True
        self._error = error
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            if error is None:
                wanted.resolve(None)
            else:
                wanted.fail(error)


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream."""

    __slots__ = (
        "_answer",
        "_body",
        "_body_bytes",
        "_challenges",
        "_complete",
        "_content_type",
        "_edition",
        "_framed",
        "_head_bytes",
        "_keep",
        "_nonce",
        "_parser",
        "_paused",
        "_pool",
        "_response",
        "_session_id",
        "_transport",
        "last_active",
        "listening",
        "patient",
        "started",
    )

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Step[Response] | None = None
        self._response: Response | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._content_type = b""
        self._session_id = b""
        self._edition = b""
        self._nonce = b""
        self._challenges: tuple[bytes, ...] = ()
        self._framed = False
        self._complete = False
        self._keep = False
        self._paused = False
        self.last_active = self.started = monotonic()
        self.listening = False
        """The stream is one that a client opened to listen: silence is no fault."""
        self.patient = False
        """The upstream waits for its client's answer: its silence is no fault."""

    @property
    def usable(self) -> bool:
        """Whether another request can be sent."""
        return (
            self._answer is None
            and self._response is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    def send(self, data: bytes, *, listening: bool) -> Step[Response]:
        """Send a request; resolves with the whole answer, or with a stream's head."""
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        self._answer = Step()
        self._body = []
        self._body_bytes = self._head_bytes = 0
        self._content_type = self._session_id = self._edition = self._nonce = b""
        self._challenges = ()
        self._framed = self._complete = self.patient = False
        self.last_active = self.started = monotonic()
        self.listening = listening
        self._transport.write(data)
        return self._answer

    def read_on(self) -> None:
        """The reader of a stream has caught up."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abandon(self) -> None:
        """Cut the connection."""
        self._pool.active.discard(self)
        self._answer = self._response = None
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: UpstreamError) -> None:
        """End what is going on with an error and cut the connection."""
        answer, response = self._answer, self._response
        self.abandon()
        # A whole answer is still waited for when its head is there already.
        if answer is not None:
            answer.fail(error)
        elif response is not None:
            response.finish(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was going on."""
        self._pool.forget(self)
        if self._response is not None and not self._framed:
            # Neither length nor chunks: the end of the connection is the end of the body.
            self._hand_over()
        self.fail(UpstreamError("upstream closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; bytes that nobody asked for end the connection."""
        if self._answer is None and self._response is None:
            self.abandon()
            return
        self.last_active = monotonic()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.fail(UpstreamError("upstream sent no valid HTTP/1.1"))
        else:
            if self._complete:
                self._hand_over()

    # httptools callbacks; what they raise ends the connection

    def on_message_begin(self) -> None:
        """A response begins; a second one was not asked for."""
        if self._complete:
            raise ValueError("unsolicited response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the few headers that matter."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("response head is too large")
        lower = name.lower()
        if lower == b"content-type":
            self._content_type = value.lower()
        elif lower == b"mcp-session-id":
            self._session_id = value
        elif lower in {b"content-length", b"transfer-encoding"}:
            self._framed = True
        elif lower == b"etag":
            self._edition = value
        elif lower == b"www-authenticate" and len(self._challenges) < MAX_LINES:
            self._challenges += (value,)
        elif lower == b"dpop-nonce":
            self._nonce = value

    def on_headers_complete(self) -> None:
        """A stream is handed over at once, anything else when it is whole."""
        status = self._parser.get_status_code()
        if self._answer is None or status < 200:
            return
        self._response = Response(self, status, self._content_type, self._session_id)
        self._response.edition = self._edition
        self._response.challenges = self._challenges
        self._response.nonce = self._nonce
        if self._response.streams:
            answer, self._answer = self._answer, None
            answer.resolve(self._response)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        response = self._response
        if response is None:
            return
        if response.streams:
            if not response.feed(data) and self._transport is not None and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._pool.limits.response_bytes:
            raise ValueError("response is too large")
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one (1xx)."""
        self._complete = self._response is not None
        self._keep = self._framed and self._parser.should_keep_alive()

    def _hand_over(self) -> None:
        """Keep the connection and give the answer.

        Only after the parser is done with the bytes at hand: the answer may lead to the
        next request on this very connection.
        """
        response, self._response = self._response, None
        answer, self._answer = self._answer, None
        self._pool.release(self, keep=self._keep)
        if response is None:
            return
        if response.streams:
            response.finish(None)
        elif answer is not None:
            body = self._body
            response.body = body[0] if len(body) == 1 else b"".join(body)
            answer.resolve(response)


class UpstreamPool:
    """The connections to one upstream."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self.endpoint = endpoint
        self.limits = limits
        self.active: set[UpstreamConnection] = set()
        self._idle: deque[UpstreamConnection] = deque()
        self._ssl = ssl.create_default_context() if endpoint.secure else None
        self.request_head = request_head(endpoint.url, "POST")
        """Request line and `Host`, the same for each request."""
        self._closed = False
        self._retired_at = 0.0

    async def send(self, data: bytes, *, listening: bool = False) -> Response:
        """Send one request. Raises `UpstreamError`.

        Nothing is sent twice: whether a call had its effect cannot be known from outside.
        """
        connection = self._take_idle() or await self._connect()
        self.active.add(connection)
        try:
            return await connection.send(data, listening=listening)
        except UpstreamError:
            raise
        except Exception:
            # The client is gone or may no longer ask: closing cancels the request.
            connection.abandon()
            raise

    def _take_idle(self) -> UpstreamConnection | None:
        fresh = monotonic() - IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.last_active > fresh:
                return connection
            connection.abandon()
        return None

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        # A task of its own, since the data path has none for time-outs to cancel.
        task = loop.create_task(self._open())
        try:
            return await task
        except (OSError, TimeoutError, ssl.SSLError, ForbiddenAddressError) as exc:
            raise UpstreamError("upstream cannot be reached") from exc
        except Exception:
            # Nobody waits any more; a connection that still comes about is not leaked.
            task.add_done_callback(_discard)
            raise

    async def _open(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        end = self.endpoint
        async with asyncio.timeout(CONNECT_SECONDS):
            if end.socket is not None:
                _, connection = await loop.create_unix_connection(
                    lambda: UpstreamConnection(self), end.socket
                )
                return connection
            address = await resolve(end.host, end.port, private=end.private)
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self),
                address,
                end.port,
                ssl=self._ssl,
                server_hostname=end.host if self._ssl is not None else None,
            )
        return connection

    def release(self, connection: UpstreamConnection, *, keep: bool) -> None:
        """Take a connection back whose answer is whole."""
        self.active.discard(connection)
        if keep and len(self._idle) < MAX_IDLE and not self._closed:
            self._idle.append(connection)
        else:
            connection.abandon()

    def forget(self, connection: UpstreamConnection) -> None:
        """Drop a connection that is gone."""
        self.active.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def expire(self, now: float) -> None:
        """Enforce the time-outs; called about once a second."""
        for connection in list(self.active):
            silent = (
                now - connection.last_active > self.limits.upstream_seconds
                and not connection.patient
            )
            over = now - connection.started > self.limits.upstream_total_seconds
            if (silent or over) and not connection.listening:
                connection.fail(UpstreamTimeoutError("upstream took too long"))
        while self._idle and now - self._idle[0].last_active > IDLE_SECONDS:
            self._idle.popleft().abandon()

    def end_listening(self) -> None:
        """End the streams that clients only listen to: they never end by themselves."""
        for connection in [it for it in self.active if it.listening]:
            connection.fail(UpstreamError("the gateway has ended the stream"))

    def retire(self) -> None:
        """Keep no connection any more; what is going on comes to its end."""
        self._closed = True
        self._retired_at = monotonic()
        while self._idle:
            self._idle.popleft().abandon()

    @property
    def over(self) -> bool:
        """Whether a retired pool has no calls and gets none that were allowed before."""
        since = monotonic() - self._retired_at
        return not self.active and since > self.limits.upstream_total_seconds

    def close(self) -> None:
        """Cut all connections."""
        self._closed = True
        for connection in [*self.active, *self._idle]:
            connection.fail(UpstreamError("the gateway is shutting down"))
        self._idle.clear()


def request_head(url: str, verb: str) -> bytes:
    """Write request line and `Host`."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{verb} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode("ascii")


def _discard(task: asyncio.Task[UpstreamConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abandon()
