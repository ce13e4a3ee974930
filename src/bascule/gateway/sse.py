"""Server-sent events (WHATWG HTML §9.2) as MCP uses them: one message for each event."""

from __future__ import annotations

from bascule.errors import BasculeError


class EventTooLargeError(BasculeError):
    """One event is larger than a response may be."""


class EventReader:
    """Cuts a stream of bytes into the `data` of its events."""

    __slots__ = ("_data", "_limit", "_rest", "_size")

    def __init__(self, limit: int) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Give the events that are complete with these bytes.

        Raises `EventTooLargeError` when one grows over the limit.
        """
        text = (self._rest + data).replace(b"\r\n", b"\n")
        # A carriage return at the very end may be half of a line end.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        if len(self._rest) + self._size > self._limit:
            raise EventTooLargeError("upstream sent an event that is too large")
        return [event for line in lines if (event := self._take(line)) is not None]

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
