"""Who may approve, as it is pinned: the first set that was used, and signed changes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from bascule.clock import UnixTime
from bascule.storage.approvals import note_change
from bascule.storage.schema import approver_sets, approver_votes


@dataclass(frozen=True, slots=True)
class PinnedSet:
    """The signers and rules in force."""

    number: int
    """Of the change that led to it; 0 when that is not known."""
    digest: str
    document: bytes


def pinned(conn: Connection) -> PinnedSet | None:
    """Give the set in force; None before the first use."""
    query = select(approver_sets).order_by(approver_sets.c.place.desc()).limit(1)
    row = conn.execute(query).first()
    return None if row is None else PinnedSet(row.number, row.digest, bytes(row.document))


def pin(conn: Connection, fresh: PinnedSet, *, now: UnixTime) -> None:
    """Put a set in force; those before it are kept."""
    last = select(approver_sets.c.place).order_by(approver_sets.c.place.desc()).limit(1)
    conn.execute(
        insert(approver_sets).values(
            place=(conn.execute(last).scalar() or 0) + 1,
            number=fresh.number,
            digest=fresh.digest,
            document=fresh.document,
            recorded_at=now,
        )
    )
    note_change(conn)


def votes(conn: Connection) -> dict[str, tuple[bytes, UnixTime]]:
    """Give the envelopes for changes and when each came, by digest of the statement."""
    return {
        row.digest: (bytes(row.envelope), UnixTime(row.recorded_at))
        for row in conn.execute(select(approver_votes))
    }


def add_vote(conn: Connection, digest: str, envelope: bytes, *, now: UnixTime) -> None:
    """Record a statement for a change."""
    conn.execute(
        insert(approver_votes).values(digest=digest, envelope=envelope, recorded_at=now)
    )
    note_change(conn)
