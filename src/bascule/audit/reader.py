"""Reads a log's files, also while a server grows the log and replaces partial ones."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import root_of
from bascule.audit.state import TreeError
from bascule.audit.tile import (
    HASH_BYTES,
    HEIGHT,
    WIDTH,
    MalformedTileError,
    Tile,
    first_entries,
    split_entries,
    split_hashes,
)

MAX_CACHED_TILES = 64
ATTEMPTS = 3
"""Between looking and reading a partial tile may be replaced; hardly thrice."""


class TileReader:
    """Gives hashes of subtrees and entries of a tree of some size."""

    def __init__(self, files: LogFiles, size: int) -> None:
        self._files = files
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def subtree(self, height: int, index: int) -> bytes:
        """Give a perfect subtree's root. Raises `TreeError` or `MalformedTileError`."""
        level, rest = divmod(height, HEIGHT)
        first = index << rest
        place = first % WIDTH
        part = self._hashes(level, first // WIDTH)[place : place + (1 << rest)]
        if len(part) != 1 << rest:
            raise MalformedTileError("tile is too narrow")
        return root_of(part)

    def _hashes(self, level: int, index: int) -> list[bytes]:
        found = self._tiles.get((level, index))
        if found is None:
            if len(self._tiles) >= MAX_CACHED_TILES:
                self._tiles.clear()
            width = min(WIDTH, (self._size >> HEIGHT * level) - index * WIDTH)
            data = self.read(Tile(level, index, width))
            found = self._tiles[level, index] = split_hashes(data, width)
        return found

    def entries(self, index: int) -> list[bytes]:
        """Give the entries of one bundle. Raises `TreeError` or `MalformedTileError`."""
        width = min(WIDTH, self._size - index * WIDTH)
        return split_entries(self.read(Tile(-1, index, width)), width)

    def read(self, tile: Tile) -> bytes:
        """Read a tile of that width, or the beginning of a wider one that replaced it."""
        for _ in range(ATTEMPTS):
            for name in self._places(tile):
                try:
                    data = self._files.read(name)
                except FileNotFoundError:
                    continue
                except OSError as exc:
                    raise TreeError(f"the log cannot be read: `{tile.path}`") from exc
                return data if name == tile.path else _beginning(data, tile)
        raise TreeError(f"the log lacks `{tile.path}`")

    def _places(self, tile: Tile) -> Iterator[str]:
        """Give where it may be: under its own name, or in a wider one."""
        yield tile.path
        full = Tile(tile.level, tile.index).path
        widths = sorted(int(it) for it in self._files.names(f"{full}.p") if it.isdigit())
        for width in widths:
            if width > tile.width:
                yield f"{full}.p/{width}"
        yield full


def _beginning(data: bytes, tile: Tile) -> bytes:
    if tile.level >= 0:
        return data[: tile.width * HASH_BYTES]
    return first_entries(data, tile.width)
