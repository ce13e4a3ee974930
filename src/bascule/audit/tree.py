"""The tree on disk: tiles, entry bundles, openings, and the state that makes them count.

Files are written first and count for nothing until the state, one small file, is swapped
(atomically, by rename). A crash before that leaves files that the next run writes again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bascule.audit.merkle import EMPTY_ROOT, leaf_hash, node_hash, root_of
from bascule.audit.tile import (
    HEIGHT,
    WIDTH,
    MalformedTileError,
    Tile,
    index_path,
    pack,
    split_entries,
    split_hashes,
)
from bascule.errors import BasculeError


class TreeError(BasculeError):
    """The files of the log are not what its state says."""


class Chain(msgspec.Struct):
    """How far one run of a writer is in the tree."""

    next: int
    """Number of its next record."""
    head: str
    """Its chain's head, hex."""


class State(msgspec.Struct):
    """What the log is; the file `state`."""

    origin: str
    size: int = 0
    root: str = EMPTY_ROOT.hex()
    fence: int = 0
    """Raised by each sequencer that takes over; one that finds another's stops."""
    chains: dict[str, Chain] = {}
    """By `WRITER BOOT`."""
    open: dict[str, str] = {}
    """Allowed calls whose end is not recorded yet: record id → `WRITER BOOT`."""
    v: int = 1


_state = msgspec.json.Decoder(State)


def read_state(folder: Path) -> State | None:
    """Read the state; None where there is no log yet. Raises `TreeError`."""
    try:
        return _state.decode((folder / "state").read_bytes())
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TreeError(f"`{folder / 'state'}` is damaged") from exc


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file; the file's bytes are synced, its folder's entry not yet."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Tree:
    """Grows the tree; what was added counts from `write` and the swap of the state on."""

    def __init__(self, folder: Path, size: int) -> None:
        """Take up the tree of that size. Raises `TreeError` when files are missing."""
        self._folder = folder
        self.size = size
        self._edge: list[list[bytes]] = []
        """For each level the hashes of its last, partial tile."""
        self._entries: list[bytes] = []
        self._openings: list[bytes] = []
        self._full: list[tuple[str, bytes]] = []
        """Paths and bytes of tiles that became full and are not written yet."""
        self._written = size
        self._take_up()

    def append(self, entry: bytes, opening: bytes) -> None:
        """Add an entry as the next leaf."""
        self._entries.append(entry)
        self._openings.append(opening)
        self.size += 1
        if len(self._entries) == WIDTH:
            index = self.size // WIDTH - 1
            self._full.append((Tile(-1, index).path, pack(self._entries)))
            self._full.append((_openings_path(index), pack(self._openings)))
            self._entries, self._openings = [], []
        self._add_hash(0, leaf_hash(entry))

    def _add_hash(self, level: int, value: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        edge = self._edge[level]
        edge.append(value)
        if len(edge) == WIDTH:
            index = (self.size >> HEIGHT * (level + 1)) - 1
            self._full.append((Tile(level, index).path, b"".join(edge)))
            self._edge[level] = []
            self._add_hash(level + 1, root_of(edge))

    def root(self) -> bytes:
        """Give the root of all that was added."""
        root: bytes | None = None
        for edge in self._edge:
            for part in reversed(_perfect(edge)):
                root = part if root is None else node_hash(part, root)
        return EMPTY_ROOT if root is None else root

    def write(self) -> None:
        """Bring to disk what is new since the last time, full and partial tiles alike."""
        files = list(self._full)
        for level, edge in enumerate(self._edge):
            if edge:
                index = self.size >> HEIGHT * (level + 1)
                files.append((Tile(level, index, len(edge)).path, b"".join(edge)))
        if self._entries:
            index, width = divmod(self.size, WIDTH)
            files.append((Tile(-1, index, width).path, pack(self._entries)))
            files.append((f"{_openings_path(index)}.p/{width}", pack(self._openings)))
        folders: set[Path] = set()
        for name, data in files:
            path = self._folder / name
            _make_folders(self._folder, path.parent)
            write_durably(path, data)
            folders.add(path.parent)
        for folder in folders:
            sync_folder(folder)
        self._full.clear()

    def drop_stale(self) -> None:
        """Remove partial tiles that larger ones replaced; after the state was swapped."""
        before, self._written = self._written, self.size
        if before == self.size:
            return
        for level in range(-1, len(self._edge)):
            shift = HEIGHT * max(level, 0)
            index, width = divmod(before >> shift, WIDTH)
            if width and before >> shift != self.size >> shift:
                _remove(self._folder / Tile(level, index, width).path)
        index, width = divmod(before, WIDTH)
        if width:
            _remove(self._folder / f"{_openings_path(index)}.p/{width}")

    def _take_up(self) -> None:
        level = 0
        while self.size >> HEIGHT * level:
            index, width = divmod(self.size >> HEIGHT * level, WIDTH)
            self._edge.append(
                split_hashes(self._read(Tile(level, index, width).path), width)
                if width
                else []
            )
            level += 1
        index, width = divmod(self.size, WIDTH)
        if width:
            data = self._read(Tile(-1, index, width).path)
            self._entries = split_entries(data, width)
            sealed = self._read(f"{_openings_path(index)}.p/{width}")
            self._openings = split_entries(sealed, width)

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as exc:
            raise TreeError(f"the log lacks `{name}`") from exc


def _openings_path(index: int) -> str:
    return f"openings/{index_path(index)}"


def _perfect(hashes: Sequence[bytes]) -> list[bytes]:
    """Give the roots of the perfect subtrees over up to 255 hashes, largest first."""
    roots = []
    start = 0
    for bit in range(HEIGHT - 1, -1, -1):
        if len(hashes) >> bit & 1:
            roots.append(root_of(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return roots


def _make_folders(base: Path, folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(base, folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:
        return


class TileReader:
    """Reads a log's files: hashes of subtrees, entries."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def subtree(self, height: int, index: int) -> bytes:
        """Give a perfect subtree's root. Raises `TreeError` or `MalformedTileError`."""
        level, rest = divmod(height, HEIGHT)
        first = index << rest
        hashes = self._tile(level, first // WIDTH)
        place = first % WIDTH
        part = hashes[place : place + (1 << rest)]
        if len(part) != 1 << rest:
            raise MalformedTileError("tile is too narrow")
        return root_of(part)

    def _tile(self, level: int, index: int) -> list[bytes]:
        found = self._tiles.get((level, index))
        if found is None:
            if len(self._tiles) > 64:
                self._tiles.clear()
            width = min(WIDTH, (self._size >> HEIGHT * level) - index * WIDTH)
            data = self._read(Tile(level, index, width))
            found = self._tiles[level, index] = split_hashes(data, width)
        return found

    def entries(self, index: int) -> list[bytes]:
        """Give the entries of one bundle. Raises `TreeError` or `MalformedTileError`."""
        width = min(WIDTH, self._size - index * WIDTH)
        return split_entries(self._read(Tile(-1, index, width)), width)

    def _read(self, tile: Tile) -> bytes:
        """Read a tile of that width, or the beginning of a wider one that replaced it."""
        try:
            return (self._folder / tile.path).read_bytes()
        except FileNotFoundError:
            return self._read_wider(tile)
        except OSError as exc:
            raise TreeError(f"the log cannot be read: `{tile.path}`") from exc

    def _read_wider(self, tile: Tile) -> bytes:
        full = self._folder / Tile(tile.level, tile.index).path
        partial = full.with_name(full.name + ".p")
        names = [it.name for it in partial.glob("*") if it.name.isdigit()]
        wider = sorted(int(name) for name in names if int(name) > tile.width)
        paths = [partial / str(width) for width in wider] + [full]
        for path in paths:
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            return _beginning(data, tile)
        raise TreeError(f"the log lacks `{tile.path}`")


def _beginning(data: bytes, tile: Tile) -> bytes:
    if tile.level >= 0:
        return data[: tile.width * 32]
    place = 0
    for _ in range(tile.width):
        place += 2 + int.from_bytes(data[place : place + 2], "big")
    return data[:place]
