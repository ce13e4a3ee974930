"""The other paths of a port: an ASGI application behind the same HTTP protocol.

Pages, metadata and OAuth endpoints are ordinary request and answer, so this adapter gives
the body in one piece, under a limit of its own, and sends the answer when it is whole
(ASGI 3.0, HTTP).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bascule.gateway import answers
from bascule.gateway.exchange import ClientGoneError, Exchange, header_block
from bascule.gateway.steps import Run

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

MAX_BODY_BYTES = 256 << 10

_UNSAFE_IN_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""A line end would begin a header, or an answer, of whoever chose the text."""


class AsgiBridge:
    """Runs one ASGI application for exchanges."""

    def __init__(
        self,
        application: Application,
        *,
        scheme: str,
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._application = application
        self._scheme = scheme
        self._on_crash = on_crash
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange) -> None:
        """Read the body and start the application."""
        exchange.body_limit = min(exchange.body_limit, MAX_BODY_BYTES)
        Run(self._start(exchange), self)

    def crashed(self, problem: Exception) -> None:
        """A bug ended the reading of a request."""
        self._on_crash(problem)

    def ended(self) -> None:
        """The request is read; the application goes on by itself."""

    async def _start(self, exchange: Exchange) -> None:
        try:
            body = await exchange.body()
        except ClientGoneError:
            return
        if len(body) > MAX_BODY_BYTES:
            answers.plain(exchange, 413, "request body is too large")
            return
        task = asyncio.get_running_loop().create_task(self._run(exchange, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        exchange.on_gone = lambda: _cancel(task)

    async def _run(self, exchange: Exchange, body: bytes) -> None:
        call = _Call(exchange, body)
        try:
            await self._application(self._scope(exchange), call.receive, call.send)
        except Exception as exc:  # noqa: BLE001 - a bug in a page must not end the server
            self._on_crash(exc)
        if not exchange.answered:
            answers.plain(exchange, 500, "internal error")

    def _scope(self, exchange: Exchange) -> Message:
        path, _, query = exchange.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": exchange.version,
            "method": exchange.method,
            "scheme": self._scheme,
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(exchange.headers.items()),
            "client": (exchange.peer, 0),
            "server": None,
            "bascule.certificate": exchange.certificate,
        }


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


class _Call:
    """One run of the application: what it receives and sends."""

    def __init__(self, exchange: Exchange, body: bytes) -> None:
        self._exchange = exchange
        self._body: bytes | None = body
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []

    async def receive(self) -> Message:
        """Give the body once, then say that there is no more."""
        if self._body is None:
            await asyncio.get_running_loop().create_future()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Gather the answer and send it when it is whole."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (name, value)
                for name, value in message.get("headers", ())
                if name.lower()
                not in {b"content-length", b"connection", b"transfer-encoding"}
            ]
            if _UNSAFE_IN_HEADER.search(b"".join(map(b"".join, self._headers))):
                raise ValueError("a header of a page's answer has a control character")
            return
        self._pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            headers = header_block(*self._headers)
            self._exchange.respond(self._status, headers, b"".join(self._pieces))
