"""Asking many paths of one port in one go, to be done quickly with those not there.

HTTP/1.1 lets a client send its requests without waiting (RFC 9112 §9.3.2). A scan does so
with this machine alone: elsewhere requests keep to their pace. Servers that do not like it
lose nothing: what has no answer here is asked again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httptools

from bascule.scan.asked import Asked
from bascule.scan.exchange import READ_BYTES, Stream, WireError
from bascule.scan.place import Answered, Place
from bascule.scan.wire import Wire

SECONDS = 1.5
"""For all answers together; what has none by then is asked again by itself."""
MAX_BYTES = 1 << 20
"""Of all answers together."""


async def burst(
    wire: Wire, place: Place, requests: Sequence[Asked]
) -> list[Answered | None]:
    """Send requests in one go; gives what came of each, None where nothing whole did.

    A stream of events ends the reading: what comes after it has no answer. Nothing is sent
    where no connection is kept, as by servers that close it after each answer.
    """
    if not wire.keeps(place):
        return [None] * len(requests)
    with suppress(WireError):
        async with wire.stream(place) as stream:
            numbers = [wire.note(place, stream.address, it) for it in requests]
            stream.writer.write(b"".join(it.written(place) for it in requests))
            answers = _Answers(stream)
            await answers.read(len(requests), min(SECONDS, wire.limits.head_seconds))
            stream.whole = len(answers.found) == len(requests) and answers.keep_alive
            for number, answered in zip(numbers, answers.found, strict=False):
                wire.note_status(number, answered.status, answered.address)
            missing = len(requests) - len(answers.found)
            return [*answers.found[: len(requests)], *([None] * missing)]
    return [None] * len(requests)


@dataclass(slots=True, eq=False)
class _Answers:
    """Answers as they come, one after the other on one connection."""

    stream: Stream
    found: list[Answered] = field(default_factory=list)
    keep_alive: bool = False
    _parser: httptools.HttpResponseParser = field(init=False)
    _headers: list[tuple[str, str]] = field(default_factory=list)
    _pieces: list[bytes] = field(default_factory=list)

    async def read(self, wanted: int, seconds: float) -> None:
        """Read until all are there, or no more will be."""
        self._parser = httptools.HttpResponseParser(self)
        left = MAX_BYTES
        with suppress(
            TimeoutError, OSError, httptools.HttpParserError, httptools.HttpParserUpgrade
        ):
            async with asyncio.timeout(seconds):
                while len(self.found) < wanted and left > 0:
                    data = await self.stream.reader.read(READ_BYTES)
                    if not data:
                        return
                    left -= len(data)
                    self._parser.feed_data(data)

    # httptools callbacks; to raise in one ends the parsing

    def on_message_begin(self) -> None:
        """One more answer begins."""
        self._headers, self._pieces = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Stop at a stream of events, which may have no end."""
        for name, value in self._headers:
            if name == "content-type" and value.lower().startswith("text/event-stream"):
                raise ValueError("a stream of events")

    def on_body(self, data: bytes) -> None:
        """Take a piece."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Keep the answer, unless it was an interim one."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.keep_alive = self._parser.should_keep_alive()
        self.found.append(
            Answered(
                status,
                self._headers,
                b"".join(self._pieces),
                "",
                self.stream.tls,
                self.stream.address,
            )
        )
