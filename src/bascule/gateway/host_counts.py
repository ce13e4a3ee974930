"""Unfinished requests of each identity over all workers of a host, in shared memory.

Each worker has a row of counters and writes that row alone, so nothing is locked. An
identity's place in the rows is a keyed hash: nobody can choose to share somebody else's.
Workers that look at the same moment may let through one request too many each.
"""

from __future__ import annotations

import hashlib
import mmap
import os

SLOTS = 1 << 16
_BYTES = 2
MAX_COUNT = (1 << 8 * _BYTES) - 1
KEY_BYTES = 16


def make_memory(workers: int) -> int:
    """Make the rows of so many workers, all zero; gives the descriptor to inherit."""
    descriptor = os.memfd_create("bascule-counts", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, workers * SLOTS * _BYTES)
    return descriptor


def clear_row(descriptor: int, row: int) -> None:
    """Forget what a worker counted that is gone."""
    os.pwrite(descriptor, bytes(SLOTS * _BYTES), row * SLOTS * _BYTES)


class HostCounts:
    """One worker's view: its own row, and the sum over the others."""

    def __init__(self, descriptor: int, *, row: int, rows: int, key: bytes) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, rows * SLOTS * _BYTES)).cast("H")
        self._own = row * SLOTS
        self._others = [it * SLOTS for it in range(rows) if it != row]
        self._key = key

    def slot(self, identity: str) -> int:
        """Give an identity's place in the rows."""
        digest = hashlib.blake2b(identity.encode(), key=self._key, digest_size=2).digest()
        return int.from_bytes(digest, "big")

    def elsewhere(self, slot: int) -> int:
        """Give how many are unfinished in other workers."""
        counts = self._counts
        return sum(counts[row + slot] for row in self._others)

    def add(self, slot: int, change: int) -> None:
        """Count requests of this worker up or down."""
        place = self._own + slot
        self._counts[place] = min(max(self._counts[place] + change, 0), MAX_COUNT)
