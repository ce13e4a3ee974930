"""One answer to one request of a scan, read under limits whatever the other side does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

import httptools

from bascule.clock import monotonic
from bascule.errors import BasculeError

READ_BYTES = 32 << 10
MAX_HEAD_BYTES = 64 << 10
GRACE_SECONDS = 0.05
ENCODED = "the answer is encoded, which was not asked for"
SEEN_BYTES = 64
"""Of what is not HTTP: enough to tell what else it may be."""

Failure = Literal[
    "refused",  # nobody listens
    "unreachable",
    "silent",  # it takes connections and says nothing
    "slow",
    "closed",
    "not_http",
    "tls",
    "client_certificate",  # the other side wants to see a certificate
]


class WireError(BasculeError):
    """A request had no answer of HTTP; `failure` tells why."""

    def __init__(self, failure: Failure, message: str, seen: bytes = b"") -> None:
        super().__init__(message)
        self.failure = failure
        self.seen = seen
        """The first bytes of what came instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take."""

    connect_seconds: float = 2.0
    first_seconds: float = 5.0
    """From the first request to a place to the end of its answer's head; what takes
    connections and says nothing is waited for so long."""
    head_seconds: float = 5.0
    """The same for further requests, of a server that has been heard of."""
    body_seconds: float = 5.0
    """From there to the end of the body."""
    body_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Tls:
    """What TLS told of the other side."""

    problem: str
    """Why its certificate is not trusted for that name; empty when it is."""
    version: str = ""
    """`TLSv1.3`."""


@dataclass(slots=True, eq=False)
class Stream:
    """A connection, for one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    """`ADDRESS:PORT`."""
    free: bool = False
    """It ends on this machine, so that nobody is to be spared."""
    tls: Tls | None = None
    whole: bool = False
    """Who lent it has read all answers to their ends."""

    def cut(self) -> None:
        """End it at once."""
        self.writer.transport.abort()


@dataclass(slots=True, eq=False)
class Reply:
    """An answer whose head is there; the body comes in pieces, or whole."""

    stream: Stream
    limits: Limits
    head_seconds: float
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    """In their order; names in lower case."""
    cut: str = ""
    """Why the body is not whole, in words; empty as long as it may be."""
    complete: bool = False
    keep_alive: bool = False
    _pieces: list[bytes] = field(default_factory=list)
    _begun: bool = False
    _framed: bool = False
    _head_bytes: int = 0
    _body_bytes: int = 0
    _seen: bytes = b""
    _deadline: float = 0.0
    _late: bool = False
    _parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        """Begin to wait."""
        self._parser = httptools.HttpResponseParser(self)
        self._deadline = monotonic() + self.head_seconds

    def header(self, name: str) -> str | None:
        """Give the value of a header, the first where there are several."""
        return next((value for key, value in self.headers if key == name), None)

    def every(self, name: str) -> list[str]:
        """Give all values of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    async def begin(self) -> None:
        """Wait for the head. Raises `WireError`."""
        while not self._has_head():
            data = await self._receive()
            if not data:
                raise WireError("closed", "it closes the connection without an answer")
            self._head_bytes += len(data)
            self._seen = (self._seen + data)[:SEEN_BYTES]
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
                if not self._has_head():
                    raise WireError(
                        "not_http", "what answers speaks no HTTP", self._seen
                    ) from exc
                self.cut = self.cut or "the answer is not valid HTTP/1.1"
            if not self._has_head() and self._head_bytes > MAX_HEAD_BYTES:
                raise WireError("not_http", "the head of the answer has no end", self._seen)
        self.prolong()

    def prolong(self) -> None:
        """Give what is still to come the time of a body, counted from now."""
        self._deadline = monotonic() + self.limits.body_seconds
        self._late = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes, up to the limits; `cut` says what ended it early."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if self.complete or self.cut:
                return
            await self._more()

    async def body(self) -> bytes:
        """Give the body, or the beginning of it where it is `cut`."""
        return b"".join([piece async for piece in self.pieces()])

    def _has_head(self) -> bool:
        return self._begun

    async def _more(self) -> None:
        try:
            data = await self._receive()
        except WireError as exc:
            self.cut = str(exc)
            return
        if not data:
            # Without length or chunks the end of the connection is that of the body.
            self.complete = not self._framed
            self.cut = "" if self.complete else "the answer is cut short"
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.cut = self.cut or "the answer is not valid HTTP/1.1"

    async def _receive(self) -> bytes:
        """Read what comes next, nothing at the end. Raises `WireError`."""
        try:
            try:
                async with asyncio.timeout(self._deadline - monotonic()):
                    return await self.stream.reader.read(READ_BYTES)
            except TimeoutError:
                if self._late:
                    raise
                # With a thousand connections under way we may be the slow ones: once.
                self._late = True
                async with asyncio.timeout(GRACE_SECONDS):
                    return await self.stream.reader.read(READ_BYTES)
        except TimeoutError as exc:
            if self._begun:
                raise WireError("slow", "the answer does not end in time") from exc
            if self._seen:
                raise WireError("slow", "the answer comes too slowly") from exc
            raise WireError("silent", "it takes the connection and never answers") from exc
        except ssl.SSLError as exc:
            raise tls_failure(exc) from exc
        except OSError as exc:
            raise WireError("closed", "it cuts the connection") from exc

    # httptools callbacks; to raise in one ends the parsing

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; trailers are not looked at."""
        if self._begun:
            return
        key = name.decode("latin-1").lower()
        self._framed |= key in {"content-length", "transfer-encoding"}
        self.headers.append((key, value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there, unless it is an interim one (1xx)."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            self._framed = False
            return
        self.status = status
        self._begun = True
        if (self.header("content-encoding") or "identity").lower() != "identity":
            self.cut = ENCODED

    def on_body(self, data: bytes) -> None:
        """Take a piece."""
        self._body_bytes += len(data)
        if self._body_bytes > self.limits.body_bytes:
            self.cut = f"the answer is larger than {self.limits.body_bytes} bytes"
            raise ValueError(self.cut)
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._begun:
            self.complete = True
            self.keep_alive = self._framed_by_itself() and self._parser.should_keep_alive()

    def _framed_by_itself(self) -> bool:
        return self._framed or self.status in {204, 304}


def tls_failure(problem: ssl.SSLError) -> WireError:
    """Say why TLS failed; the alert of the other side tells that it wants a certificate."""
    reason = (problem.reason or "").upper()
    if "CERTIFICATE_REQUIRED" in reason or "ALERT_BAD_CERTIFICATE" in reason:
        return WireError("client_certificate", "it asks for a client certificate")
    return WireError("tls", f"TLS fails: {reason.lower().replace('_', ' ') or 'closed'}")
