"""The inbox: where records are durable before anything follows from them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bascule.audit.once import Once
from bascule.audit.state import TamperedLogError
from bascule.audit.tile import MalformedTileError, Packed, pack

GENESIS = bytes(32)
"""The head before a writer's first segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Records of one writer that became durable together; a link of the writer's chain.

    The chain is keyed: what gets into the tree gets signed, so nobody may put a record
    into the inbox, or change one there, who does not have the log's keys.
    """

    writer: str
    boot: str
    """Random id of the writer's run; numbers and chain begin anew with each."""
    first: int
    """Number of the first record, from 0."""
    count: int
    prev: bytes
    """Head of the writer's segment before; 32 bytes."""
    head: bytes
    """HMAC-SHA-256 under the chain key of all else that is here; 32 bytes."""
    leaves: bytes
    """The records, packed as in an entry bundle."""
    openings: bytes
    """For each record its encrypted opening, with a length of four bytes."""

    @property
    def chain(self) -> str:
        """Name the chain that this is a link of."""
        return f"{self.writer} {self.boot}"

    @property
    def row(self) -> tuple[str, str, int, int, bytes, bytes, bytes, bytes]:
        """Give all its parts, in the order in which they stand here."""
        return (
            self.writer,
            self.boot,
            self.first,
            self.count,
            self.prev,
            self.head,
            self.leaves,
            self.openings,
        )

    def entries(self, key: bytes) -> Packed:
        """Give the records. Raises `TamperedLogError` unless all is as it was written."""
        if not hmac.compare_digest(self.head, _head(key, self)):
            raise TamperedLogError(f"records of `{self.chain}` were changed in the inbox")
        try:
            found = Packed.of(self.leaves)
        except MalformedTileError as exc:
            raise TamperedLogError(f"records of `{self.chain}` are damaged") from exc
        if len(found.parts) != self.count:
            raise TamperedLogError(f"records of `{self.chain}` are not of their number")
        return found


def _head(key: bytes, segment: Segment) -> bytes:
    fields = (
        segment.chain.encode(),
        segment.first.to_bytes(8, "big"),
        segment.count.to_bytes(8, "big"),
        segment.prev,
        segment.leaves,
        segment.openings,
    )
    lengths = b"".join(len(field).to_bytes(8, "big") for field in fields)
    return hmac.digest(key, lengths + b"".join(fields), "sha256")


@dataclass(slots=True)
class ChainEnd:
    """Where one run of a writer is in its chain; makes the next link."""

    key: bytes
    writer: str
    boot: str
    next: int = 0
    head: bytes = GENESIS

    def segment(self, leaves: list[bytes], openings: bytes) -> Segment:
        """Make the next segment, without going on: it may fail to be written."""
        bare = Segment(
            writer=self.writer,
            boot=self.boot,
            first=self.next,
            count=len(leaves),
            prev=self.head,
            head=b"",
            leaves=pack(leaves),
            openings=openings,
        )
        return replace(bare, head=_head(self.key, bare))

    def advance(self, segment: Segment) -> None:
        """Go on behind a segment that is durable."""
        self.next += segment.count
        self.head = segment.head


class Inbox(Protocol):
    """A durable queue of segments; many writers, one reader."""

    def write(self, segment: Segment) -> None:
        """Keep a segment: on disk when this returns, or not kept at all."""

    def claim(self, onces: Sequence[Once], segment: Callable[[], Segment | None]) -> None:
        """Note what counts once, and keep a segment, in one commit.

        `segment` is asked for it when each of `onces` that was there before is marked as
        spent, so that it can leave out what came with those.
        """

    def probe(self) -> None:
        """Write something that is no record; raises whatever `write` would raise now."""

    def read(self, after: int, limit: int) -> list[tuple[int, Segment]]:
        """Give up to `limit` segments beyond a place, in the order of arrival.

        Places are from 1; after `remove` they may begin again, so read from 0 then.
        """

    def remove(self, up_to: int) -> None:
        """Drop segments up to a place, which are in the tree by now."""

    def count(self) -> int:
        """Give how many records wait."""

    def close(self) -> None:
        """Let go of files."""
