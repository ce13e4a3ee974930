"""Server-sent events (WHATWG HTML §9.2) as MCP uses them: one message for each event."""

from __future__ import annotations

from msgspec import Struct

from bascule.errors import BasculeError

MAX_EVENT_ID_BYTES = 1024
MAX_RETRY_DIGITS = 7

TOO_LARGE = "upstream sent an event that is too large"


class EventTooLargeError(BasculeError):
    """One event is larger than a response may be."""


class LineReader:
    """Cuts a stream of bytes into lines, whichever of the three line ends they have."""

    __slots__ = ("_held", "_limit", "_line", "pending")

    def __init__(self, limit: int) -> None:
        self._held = b""
        """A carriage return at the very end, which may be half of a line end."""
        self._line: list[bytes] = []
        """Pieces of the line that has no end yet."""
        self.pending = 0
        """Bytes of that line."""
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Give the lines that are complete with these bytes.

        Raises `EventTooLargeError` when one grows over the limit.
        """
        text = self._held + data
        self._held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(self._held)]
        first, *others = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        # A line is joined once, when it ends: else a long one would cost its square.
        self._line.append(first)
        self.pending += len(first)
        if self.pending > self._limit:
            raise EventTooLargeError(TOO_LARGE)
        if not others:
            return []
        lines = [b"".join(self._line), *others[:-1]]
        self._line, self.pending = [others[-1]], len(others[-1])
        return lines


class EventReader:
    """Cuts a stream of bytes into the `data` of its events."""

    __slots__ = ("_data", "_limit", "_lines", "_other", "_size")

    def __init__(self, limit: int) -> None:
        self._lines = LineReader(limit)
        self._data: list[bytes] = []
        self._size = 0
        self._other = False
        """The event is of another type than `message`, and no message."""
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Give the events that are complete with these bytes.

        Raises `EventTooLargeError` when one grows over the limit.
        """
        lines = self._lines.feed(data)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if self._lines.pending + self._size > self._limit:
            raise EventTooLargeError(TOO_LARGE)
        return events

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            event, self._data, self._size = b"\n".join(self._data), [], 0
            other, self._other = self._other, False
            return None if other or not event else event
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > self._limit:
                raise EventTooLargeError(TOO_LARGE)
        elif name == b"event":
            self._other = value.removeprefix(b" ") not in {b"message", b""}
        return None


def event(data: bytes) -> bytes:
    """Write one message, which is JSON, as an event."""
    return b"event: message\ndata: %b\n\n" % _on_one_line(data)


def _on_one_line(data: bytes) -> bytes:
    """Write JSON without line ends, which only stand between its tokens.

    Upstreams may have them there: in several `data` lines. Here they would end the event.
    """
    return data.replace(b"\n", b" ") if b"\n" in data else data


class Event(Struct, frozen=True):
    """An event with what a client needs to resume its stream; None where absent."""

    data: bytes
    """Empty in an event that only marks a place."""
    id: bytes | None
    retry: bytes | None
    """Milliseconds, in digits."""


class ResumableReader:
    """Cuts a stream of bytes into its events, with the fields that resumption needs."""

    __slots__ = ("_data", "_id", "_limit", "_lines", "_other", "_retry", "_size")

    def __init__(self, limit: int) -> None:
        self._lines = LineReader(limit)
        self._limit = limit
        self._begin()

    def _begin(self) -> None:
        self._data: list[bytes] = []
        self._size = 0
        self._id: bytes | None = None
        self._retry: bytes | None = None
        self._other = False

    def feed(self, data: bytes) -> list[Event]:
        """Give the events that are complete with these bytes.

        Raises `EventTooLargeError` when one grows over the limit.
        """
        lines = self._lines.feed(data)
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        if not line:
            data = b"" if self._other else b"\n".join(self._data)
            event = Event(data, self._id, self._retry)
            self._begin()
            return event if event.data or event.id or event.retry else None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._limit:
                raise EventTooLargeError(TOO_LARGE)
        elif name == b"id" and 0 < len(value) <= MAX_EVENT_ID_BYTES:
            self._id = value
        elif name == b"retry" and value.isdigit() and len(value) <= MAX_RETRY_DIGITS:
            self._retry = value
        elif name == b"event":
            self._other = value not in {b"message", b""}
        return None


def resumable_event(data: bytes, event_id: str | None, retry: bytes | None) -> bytes:
    """Write an event with the fields that resumption needs."""
    fields = b"" if event_id is None else b"id: %b\n" % event_id.encode("ascii")
    if retry is not None:
        fields += b"retry: %b\n" % retry
    return b"%bevent: message\ndata: %b\n\n" % (fields, _on_one_line(data))


KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients skip."""
