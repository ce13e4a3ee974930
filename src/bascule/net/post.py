"""One request of Bascule's own to a server that the operator named, and its answer.

Under the same rules as what is fetched (see `fetch`): checked addresses, no redirect, no
cookie, limits on everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httptools

from bascule.net.fetch import READ_BYTES, USER_AGENT, FetchError, FetchPolicy, connected

MAX_HEAD_BYTES = 64 << 10


class Reply:
    """An answer whose head is there; the body comes in pieces."""

    def __init__(self, reader: asyncio.StreamReader, max_bytes: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names in lower case; of one that stands twice the last."""
        self._reader = reader
        self._left = max_bytes
        self._head_left = MAX_HEAD_BYTES
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._framed = self._begun = self._complete = False

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def begin(self) -> None:
        """Wait for the head. Raises `FetchError`."""
        while not self._begun:
            await self._read()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes. Raises `FetchError`."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if self._complete:
                return
            await self._read()

    async def body(self) -> bytes:
        """Wait for the whole body. Raises `FetchError`."""
        return b"".join([piece async for piece in self.pieces()])

    async def _read(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if not data:
            # Without length or chunks the end of the connection is that of the body.
            if self._framed or not self._begun:
                raise FetchError("the answer is cut short")
            self._complete = True
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            raise FetchError("the answer is too large, or not valid HTTP/1.1") from exc

    # httptools callbacks; to raise in one ends the parsing

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._head_left -= len(name) + len(value)
        if self._head_left < 0:
            raise ValueError("head is too large")
        key = name.decode("latin-1").lower()
        self._framed |= key in {"content-length", "transfer-encoding"}
        self.headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there, unless it is an interim one (1xx)."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            self._framed = False
            return
        self.status = status
        self._begun = True

    def on_body(self, data: bytes) -> None:
        """Take a piece."""
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("body is too large")
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        self._complete = self._begun


@asynccontextmanager
async def send(
    verb: str, url: str, headers: Mapping[str, str], body: bytes, policy: FetchPolicy
) -> AsyncIterator[Reply]:
    """Send one request, and give the answer whatever its status is.

    `policy.max_bytes` bounds the body of the answer, `policy.seconds` all of it. Values of
    headers are the caller's to check. Raises `FetchError`.
    """
    async with connected(url, policy) as (target, reader, writer):
        lines = {
            "Host": target.authority,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Length": str(len(body)),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request_line = f"{verb} {target.path} HTTP/1.1\r\n"
        writer.write(f"{request_line}{head}\r\n".encode("latin-1") + body)
        reply = Reply(reader, policy.max_bytes)
        await reply.begin()
        yield reply
