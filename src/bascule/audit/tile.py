"""Tiles and entry bundles (C2SP tlog-tiles): where they lie and what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bascule.errors import BasculeError

WIDTH = 256
HEIGHT = 8
HASH_BYTES = 32
MAX_ENTRY_BYTES = 65_535
"""An entry's length is written in two bytes."""


class MalformedTileError(BasculeError):
    """A tile or bundle is not of the form that its place and width ask for."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a tile; level -1 is the entry bundle."""

    level: int
    index: int
    width: int = WIDTH
    """Hashes or entries in it; fewer than 256 make it partial."""

    @property
    def path(self) -> str:
        """Give the path below the log's folder."""
        kind = "entries" if self.level < 0 else str(self.level)
        return f"tile/{kind}/{index_path(self.index)}{self._suffix}"

    @property
    def name(self) -> str:
        """Give the path's last part."""
        return self.path.rpartition("/")[2]

    @property
    def _suffix(self) -> str:
        return "" if self.width == WIDTH else f".p/{self.width}"


def index_path(index: int) -> str:
    """Write an index in groups of three digits: `x001/x234/067`."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def split_hashes(data: bytes, width: int) -> list[bytes]:
    """Read a tile. Raises `MalformedTileError`."""
    if len(data) != width * HASH_BYTES:
        raise MalformedTileError("tile has the wrong length")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def pack(entries: Iterable[bytes]) -> bytes:
    """Write entries behind one another, each with its length (big endian)."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def unpack(data: bytes, *, length_bytes: int = 2) -> list[bytes]:
    """Read what `pack` wrote. Raises `MalformedTileError`, nothing else."""
    entries = []
    number = int.from_bytes
    place, end = 0, len(data)
    while place < end:
        start = place + length_bytes
        stop = start + number(data[place:start], "big")
        if stop > end:
            raise MalformedTileError("bundle ends within an entry")
        entries.append(data[start:stop])
        place = stop
    return entries


@dataclass(frozen=True, slots=True)
class Packed:
    """Entries as they stand behind one another, and one by one."""

    data: bytes
    parts: list[bytes]
    length_bytes: int = 2

    @classmethod
    def of(cls, data: bytes, *, length_bytes: int = 2) -> Packed:
        """Take up what `pack` wrote. Raises `MalformedTileError`."""
        return cls(data, unpack(data, length_bytes=length_bytes), length_bytes)

    def cut(self, start: int, stop: int) -> bytes:
        """Give some of them as they stand."""
        return self.data[self._offset(start) : self._offset(stop)]

    def _offset(self, count: int) -> int:
        if count == len(self.parts):
            return len(self.data)
        return sum(map(len, self.parts[:count])) + count * self.length_bytes


def first_entries(data: bytes, width: int) -> bytes:
    """Cut a bundle behind its first `width` entries."""
    place = 0
    for _ in range(width):
        place += 2 + int.from_bytes(data[place : place + 2], "big")
    return data[:place]


def split_entries(data: bytes, width: int) -> list[bytes]:
    """Read an entry bundle. Raises `MalformedTileError`."""
    entries = unpack(data)
    if len(entries) != width:
        raise MalformedTileError("bundle has the wrong number of entries")
    return entries
