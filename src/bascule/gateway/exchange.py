"""One HTTP request and its answer, as handlers see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.gateway.seen_head import SeenHead
from bascule.gateway.steps import Step
from bascule.identity.client_certificate import ClientCertificate

Headers = bytes
"""Header lines, each with its line end."""


class ClientGoneError(Exception):
    """The client closed its connection before it had its answer."""


class Handler(Protocol):
    """Who answers requests; called when the head of one is complete."""

    def handle(self, exchange: Exchange) -> None:
        """Start answering; must not raise."""


class Connection(Protocol):
    """What an exchange needs of the connection that it came on."""

    limits: Limits
    peer: str
    certificate: ClientCertificate | None

    def expect_body(self, exchange: Exchange) -> None:
        """Tell a client that asks first to send its body."""

    def send_whole(
        self, exchange: Exchange, status: int, headers: Headers, body: bytes
    ) -> None:
        """Write an answer and go on to the next request."""

    def send_head(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Write the head of a streamed answer."""

    def send_chunk(self, data: bytes) -> None:
        """Write a piece of a streamed answer."""

    def end_stream(self, exchange: Exchange) -> None:
        """Write the end of a streamed answer and go on to the next request."""

    def drained(self) -> Step[None]:
        """Wait until there is room for more."""
        ...

    def abort(self) -> None:
        """Cut the connection."""


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_body_step",
        "_connection",
        "answered",
        "body_limit",
        "certificate",
        "complete",
        "discard",
        "header",
        "headers",
        "keep_alive",
        "last_sent",
        "method",
        "on_gone",
        "peer",
        "started",
        "status",
        "streaming",
        "target",
        "version",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_step: Step[bytes] | None = None
        self.on_gone: Callable[[], None] | None = None
        """Called when the client goes away before the answer is complete."""
        self.body_limit = connection.limits.body_bytes
        """Bytes of the body from which the request is refused; a handler may lower it."""
        self.peer = connection.peer
        """Address of the client, without port; behind a proxy, as that says."""
        self.certificate = connection.certificate
        """What the client showed, verified (RFC 8705)."""
        self.method = ""
        self.target = b""
        self.version = ""
        self.headers: Mapping[bytes, bytes] = {}
        """Names in lower case; what stood on several lines is joined by commas."""
        self.header: Callable[[bytes], bytes | None] = self.headers.get
        """Gives a header's value, or None; name in lower case."""
        self.keep_alive = True
        self.discard = False
        """Read the body but keep nothing of it: it is refused already."""
        self.complete = False
        """The whole request has arrived."""
        self.answered = False
        self.streaming = False
        self.status = 0
        self.started = self.last_sent = monotonic()

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition(b"?")[0].decode("ascii")

    def body(self) -> Step[bytes]:
        """Wait for the whole body.

        Fails with `ClientGoneError`. A body over the limit or too slow is answered by the
        connection itself, which then fails this with `ClientGoneError`.
        """
        step = self._body_step = Step()
        if self.complete:
            step.resolve(self._whole_body())
        else:
            self._connection.expect_body(self)
        return step

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send the whole answer."""
        self.answered = True
        self.status = status
        self._connection.send_whole(self, status, headers, body)

    def start_stream(self, status: int, headers: Headers) -> None:
        """Send the head of a streamed answer."""
        self.answered = self.streaming = True
        self.status = status
        self._connection.send_head(self, status, headers)

    def send_chunk(self, data: bytes) -> None:
        """Send a piece of a streamed answer."""
        self.last_sent = monotonic()
        self._connection.send_chunk(data)

    def drained(self) -> Step[None]:
        """Wait until the client has taken enough of what was sent."""
        return self._connection.drained()

    def end_stream(self) -> None:
        """End a streamed answer."""
        self._connection.end_stream(self)

    def abort(self) -> None:
        """Cut the connection: the answer cannot be completed truthfully."""
        self._connection.abort()

    # Called by the connection only.

    @property
    def received(self) -> int:
        """How many bytes of the body have arrived."""
        return self._body_bytes

    def seen(self, head: bytes) -> SeenHead:
        """Say what the parser made of `head`, this request's."""
        return SeenHead(
            head,
            len(head) + self._body_bytes,
            self.method,
            self.target,
            self.version,
            self.headers,
            self.peer,
        )

    def take(self, seen: SeenHead, body: bytes) -> None:
        """Be a whole request with a head that was seen before."""
        self.method = seen.method
        self.target = seen.target
        self.version = seen.version
        self.headers = seen.headers
        self.header = seen.headers.get
        self.peer = seen.peer
        self._body.append(body)
        self._body_bytes = len(body)
        self.complete = True

    def add_body(self, data: bytes) -> bool:
        """Take a piece; False when it is too much."""
        self._body_bytes += len(data)
        if self._body_bytes > self.body_limit:
            return False
        if not self.discard:
            self._body.append(data)
        return True

    def end_body(self) -> None:
        """The request is complete."""
        self.complete = True
        if self._body_step is not None:
            self._body_step.resolve(self._whole_body())

    def _whole_body(self) -> bytes:
        pieces, self._body = self._body, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def lose(self) -> None:
        """The client is gone."""
        if self._body_step is not None:
            self._body_step.fail(ClientGoneError())
        if self.on_gone is not None:
            self.on_gone()


def header_block(*pairs: tuple[bytes, bytes]) -> Headers:
    """Write header lines."""
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])
