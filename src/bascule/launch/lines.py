"""Lines of a process: cut out of its output under a bound, and made safe to show."""

from __future__ import annotations

from collections.abc import Iterable

from bascule.errors import BasculeError

MAX_SHOWN_CHARACTERS = 2000


class LineTooLongError(BasculeError):
    """A line is longer than a message may be."""


class LineReader:
    """Cuts bytes into lines, without their ends."""

    __slots__ = ("_limit", "_pieces", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Give the lines that are complete with these bytes; empty ones are left out.

        Raises `LineTooLongError`.
        """
        first, *others = data.split(b"\n")
        self._pieces.append(first)
        self._size += len(first)
        lines = []
        if others:
            # A line is joined once, when it ends: else a long one would cost its square.
            lines = [b"".join(self._pieces), *others[:-1]]
            self._pieces, self._size = [others[-1]], len(others[-1])
        if self._size > self._limit or any(len(line) > self._limit for line in lines):
            raise LineTooLongError(f"sent a line longer than {self._limit} bytes")
        return [line for line in lines if line.strip()]


class CutLineReader:
    """Cuts bytes into lines; of one that is too long it keeps the beginning."""

    __slots__ = ("_limit", "_line")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Give the lines that are complete with these bytes; empty ones are left out."""
        first, *others = data.split(b"\n")
        self._line += first[: self._limit - len(self._line)]
        if not others:
            return []
        lines = [self._line, *(line[: self._limit] for line in others[:-1])]
        self._line = others[-1][: self._limit]
        return [line for line in lines if line.strip()]

    def rest(self) -> bytes:
        """Give the line that has no end."""
        line, self._line = self._line, b""
        return line


def shown(line: bytes, secrets: Iterable[str]) -> str:
    """Write a line for the operator's log: no secret, no control character, not too long.

    What a terminal would act on is escaped: control and format characters, also those that
    turn the direction of writing around.
    """
    text = line.decode("utf-8", "replace").rstrip("\r")
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    cut = text[:MAX_SHOWN_CHARACTERS]
    escaped = "".join(char if char.isprintable() else _escaped(char) for char in cut)
    return escaped + ("…" if len(text) > len(cut) else "")


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
