"""The answer to one request of ours, read under limits and not believed too soon."""

from __future__ import annotations

import httptools

from bascule.net.freshness import freshness

MAX_HEAD_BYTES = 16 << 10

_NEEDED = frozenset(
    {"age", "cache-control", "content-encoding", "content-length", "content-type"}
)


class Answer:
    """Takes the bytes of an answer until it is complete, or a problem is found.

    Only a whole 200 of a wanted type, not encoded, is one; what another answer says is not
    kept. Where neither length nor chunks tell the end, the end of the connection does: then
    whoever reads it has to see whether it is whole, as any reader of JSON does.
    """

    def __init__(self, *, max_bytes: int, media_types: frozenset[str]) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._max_bytes = max_bytes
        self._media_types = media_types
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._in_body = False
        self._framed = False
        """Length or chunks tell where it ends."""
        self.complete = False
        self.problem = ""
        """Why it is no use; empty as long as it may be."""

    def feed(self, data: bytes) -> None:
        """Take what arrived; nothing arriving any more is a problem too."""
        if not data:
            self.complete = self._in_body and not self._framed
            self.problem = "" if self.complete else "the answer is cut short"
            return
        if not self._in_body:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.problem = self.problem or "the answer is not valid HTTP/1.1"
        if not self._in_body and self._head_bytes > MAX_HEAD_BYTES:
            self.problem = "the head of the answer is too large"

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return self._headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def fresh_seconds(self) -> int | None:
        """For how long it may be kept by its own word; None when it does not say."""
        headers = self._headers
        return freshness(headers.get("cache-control", ""), headers.get("age", ""))

    # httptools callbacks; to raise in one ends the parsing

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        if self.complete:
            self._refuse("more than one answer came")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that matter; trailers are not looked at."""
        if self._in_body:
            return
        key = name.decode("latin-1").lower()
        self._framed |= key in {"content-length", "transfer-encoding"}
        if key in _NEEDED:
            text = value.decode("latin-1")
            before = self._headers.get(key)
            self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """Refuse what is no use before any of its body is read."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()
            self._framed = False
            return
        self._in_body = True
        if 300 <= status < 400:
            self._refuse(f"status {status}: redirects are not followed")
        if status != 200:
            self._refuse(f"status {status} instead of 200")
        if self.media_type not in self._media_types:
            self._refuse("the answer is not of the type that was asked for")
        if self._headers.get("content-encoding", "identity").lower() != "identity":
            self._refuse("the answer is encoded")
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            self._refuse("the answer is too large")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(data)
        if self._body_bytes > self._max_bytes:
            self._refuse("the answer is too large")
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one (1xx)."""
        self.complete = self._in_body

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise ValueError(problem)
