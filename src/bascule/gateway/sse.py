"""Server-sent events (WHATWG HTML §9.2) as MCP uses them: one message for each event."""

from __future__ import annotations

from bascule.errors import BasculeError


class EventTooLargeError(BasculeError):
    """One event is larger than a response may be."""


class EventReader:
    """Cuts a stream of bytes into the `data` of its events."""

    __slots__ = ("_data", "_held", "_limit", "_line", "_line_size", "_size")

    def __init__(self, limit: int) -> None:
        self._held = b""
        """A carriage return at the very end, which may be half of a line end."""
        self._line: list[bytes] = []
        """Pieces of the line that has no end yet."""
        self._line_size = 0
        self._data: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Give the events that are complete with these bytes.

        Raises `EventTooLargeError` when one grows over the limit.
        """
        text = self._held + data
        self._held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(self._held)]
        first, *others = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        # A line is joined once, when it ends: else a long one would cost its square.
        self._line.append(first)
        self._line_size += len(first)
        lines = []
        if others:
            lines = [b"".join(self._line), *others[:-1]]
            self._line, self._line_size = [others[-1]], len(others[-1])
        events = [event for line in lines if (event := self._take(line)) is not None]
        if self._line_size + self._size > self._limit:
            raise EventTooLargeError("upstream sent an event that is too large")
        return events

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            event, self._data, self._size = b"\n".join(self._data), [], 0
            return event or None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > self._limit:
                raise EventTooLargeError("upstream sent an event that is too large")
        return None


def event(data: bytes) -> bytes:
    """Write one message as an event; `data` is JSON on one line."""
    return b"event: message\ndata: %b\n\n" % data


KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients skip."""
