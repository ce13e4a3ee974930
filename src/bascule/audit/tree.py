"""The tree on disk as it grows: tiles, entry bundles, openings.

Files are written first and count for nothing until the state is swapped. A crash before
that leaves files that the next run writes again.
"""

from __future__ import annotations

from bascule.audit.frontier import Frontier
from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import leaf_hashes
from bascule.audit.openings import openings_path, unpack_openings
from bascule.audit.state import TreeError
from bascule.audit.tile import (
    HEIGHT,
    WIDTH,
    MalformedTileError,
    Packed,
    Tile,
    split_entries,
    split_hashes,
)


class Tree:
    """Grows the tree; what was added counts from `write` and the swap of the state on."""

    def __init__(self, files: LogFiles, size: int) -> None:
        """Take up the tree of that size. Raises `TreeError` or `MalformedTileError`."""
        self._files = files
        self._frontier = Frontier(size, self._read_edges(size))
        self._entries: list[bytes] = []
        """Pieces of the bundle that is not full yet."""
        self._openings: list[bytes] = []
        self._full: list[tuple[str, bytes]] = []
        """Paths and bytes of tiles that became full and are not written yet."""
        self._kept = size
        """Size whose partial tiles are still needed: the last committed one."""
        self._read_entries()

    @property
    def size(self) -> int:
        """Give the number of leaves."""
        return self._frontier.size

    def root(self) -> bytes:
        """Give the root of all that was added."""
        return self._frontier.root()

    def extend(self, entries: Packed, openings: Packed) -> None:
        """Add entries as the next leaves, each with its opening."""
        start, count = 0, len(entries.parts)
        while start < count:
            stop = min(count, start + self._frontier.room)
            self._entries.append(entries.cut(start, stop))
            self._openings.append(openings.cut(start, stop))
            hashes = leaf_hashes(entries.parts[start:stop])
            full = self._frontier.extend(hashes)
            if full:
                self._end_bundle()
            self._full += [(tile.path, b"".join(it)) for tile, it in full]
            start = stop

    def _end_bundle(self) -> None:
        index = self.size // WIDTH - 1
        self._full.append((Tile(-1, index).path, b"".join(self._entries)))
        self._full.append((openings_path(index), b"".join(self._openings)))
        self._entries, self._openings = [], []

    def write(self) -> None:
        """Bring to disk what is new since the last time, full and partial tiles alike."""
        self._files.write([*self._full, *self._partial()])
        self._full.clear()

    def _partial(self) -> list[tuple[str, bytes]]:
        files = [(tile.path, b"".join(it)) for tile, it in self._frontier.partial()]
        if self._entries:
            index, width = divmod(self.size, WIDTH)
            files.append((Tile(-1, index, width).path, b"".join(self._entries)))
            files.append((openings_path(index, width), b"".join(self._openings)))
        return files

    def drop_stale(self) -> None:
        """Remove partial tiles that larger ones replaced; after the state was swapped."""
        before, self._kept = self._kept, self.size
        level = 0
        while count := before >> HEIGHT * level:
            place = Tile(level, count // WIDTH)
            self._drop_narrower(place.path, place.index, self.size >> HEIGHT * level)
            level += 1
        index = before // WIDTH
        self._drop_narrower(Tile(-1, index).path, index, self.size)
        self._drop_narrower(openings_path(index), index, self.size)

    def _drop_narrower(self, full: str, index: int, count: int) -> None:
        """Remove the partial files of a tile, but for the one that is current.

        Whether the tile is full says `count`, not the disk: there it may be from a run
        that came further and was never committed.
        """
        current = "" if count // WIDTH > index else str(count % WIDTH)
        folder = f"{full}.p"
        found = self._files.names(folder)
        self._files.remove(f"{folder}/{name}" for name in found if name != current)

    def _read_edges(self, size: int) -> list[list[bytes]]:
        edges: list[list[bytes]] = []
        while count := size >> HEIGHT * len(edges):
            index, width = divmod(count, WIDTH)
            data = self._read(Tile(len(edges), index, width).path) if width else b""
            edges.append(split_hashes(data, width))
        return edges

    def _read_entries(self) -> None:
        """Read the last, partial bundle: it is written again, so it must be right."""
        index, width = divmod(self.size, WIDTH)
        if not width:
            return
        bundle = self._read(Tile(-1, index, width).path)
        hashes = split_hashes(self._read(Tile(0, index, width).path), width)
        if leaf_hashes(split_entries(bundle, width)) != hashes:
            raise TreeError("the newest entries are not those of their tile")
        openings = self._read(openings_path(index, width))
        if len(unpack_openings(openings)) != width:
            raise MalformedTileError("openings are of the wrong number")
        self._entries, self._openings = [bundle], [openings]

    def _read(self, name: str) -> bytes:
        try:
            return self._files.read(name)
        except OSError as exc:
            raise TreeError(f"the log lacks `{name}`") from exc
