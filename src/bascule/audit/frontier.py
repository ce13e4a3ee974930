"""The right edge of a growing tree, cut into tiles: what appending needs of the tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.audit.merkle import EMPTY_ROOT, node_hash, root_of
from bascule.audit.tile import HEIGHT, WIDTH, Tile

TileHashes = tuple[Tile, list[bytes]]


class Frontier:
    """For each level the hashes of its last, partial tile; appends in amortised O(1)."""

    def __init__(self, size: int = 0, edges: Sequence[list[bytes]] = ()) -> None:
        """Take up a tree of `size` leaves, whose partial tiles `edges` are, level 0 first.

        A level whose last tile is full has an empty edge.
        """
        self.size = size
        self._edges = list(edges) or [[]]

    def append(self, leaf: bytes) -> Sequence[TileHashes]:
        """Add a leaf's hash; gives the tiles that became full by it, mostly none."""
        self.size += 1
        edge = self._edges[0]
        edge.append(leaf)
        return () if len(edge) < WIDTH else self._carry()

    def extend(self, leaves: Sequence[bytes]) -> Sequence[TileHashes]:
        """Add hashes that fit into the last tile, as `append` would one by one."""
        self.size += len(leaves)
        edge = self._edges[0]
        edge += leaves
        return () if len(edge) < WIDTH else self._carry()

    @property
    def room(self) -> int:
        """Give how many hashes make the last tile full."""
        return WIDTH - len(self._edges[0])

    def _carry(self) -> list[TileHashes]:
        full = []
        level = 0
        while len(edge := self._edges[level]) == WIDTH:
            index = (self.size >> HEIGHT * (level + 1)) - 1
            full.append((Tile(level, index), edge))
            self._edges[level] = []
            level += 1
            if level == len(self._edges):
                self._edges.append([])
            self._edges[level].append(root_of(edge))
        return full

    def partial(self) -> Iterator[TileHashes]:
        """Give the tiles that are not full."""
        for level, edge in enumerate(self._edges):
            if edge:
                index = self.size >> HEIGHT * (level + 1)
                yield Tile(level, index, len(edge)), edge

    def root(self) -> bytes:
        """Give the root of the whole tree."""
        root: bytes | None = None
        for edge in self._edges:
            for part in reversed(_perfect(edge)):
                root = part if root is None else node_hash(part, root)
        return EMPTY_ROOT if root is None else root


def _perfect(hashes: Sequence[bytes]) -> list[bytes]:
    """Give the roots of the perfect subtrees over up to 255 hashes, largest first."""
    roots = []
    start = 0
    for bit in range(HEIGHT - 1, -1, -1):
        if len(hashes) >> bit & 1:
            roots.append(root_of(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return roots
