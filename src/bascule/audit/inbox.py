"""The inbox: where records are durable before anything follows from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

GENESIS = bytes(32)
"""The head before a writer's first segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Records of one writer that became durable together; a link of the writer's chain."""

    writer: str
    boot: str
    """Random id of the writer's run; numbers and chain begin anew with each."""
    first: int
    """Number of the first record, from 0."""
    count: int
    prev: bytes
    """Head of the writer's segment before; 32 bytes."""
    leaves: bytes
    """The records, packed as in an entry bundle."""
    openings: bytes
    """For each record its encrypted opening, packed alike; empty for none."""

    @property
    def head(self) -> bytes:
        """Give the chain's head after this segment."""
        numbers = self.first.to_bytes(8, "big") + self.count.to_bytes(8, "big")
        name = f"{self.writer}\n{self.boot}\n".encode()
        return hashlib.sha256(self.prev + name + numbers + self.leaves).digest()


class Inbox(Protocol):
    """A durable queue of segments; many writers, one reader."""

    def write(self, segment: Segment) -> None:
        """Keep a segment: on disk when this returns, or not kept at all."""

    def read(self, after: int, limit: int) -> list[tuple[int, Segment]]:
        """Give up to `limit` segments beyond a place, in the order of arrival."""

    def remove(self, up_to: int) -> None:
        """Drop segments up to a place, which are in the tree by now."""

    def count(self) -> int:
        """Give how many records wait."""

    def close(self) -> None:
        """Let go of files."""
