"""The ledger of approvals: statements in the order in which they came, kept for ever."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from bascule.clock import UnixTime
from bascule.storage import counters
from bascule.storage.schema import approvals, approved_documents, entry_authors


@dataclass(frozen=True, slots=True)
class Recorded:
    """One statement of the ledger. It was valid when it was recorded."""

    sequence: int
    digest: str
    entry_digest: str
    owner: str
    """Who answers for the connector by that entry; empty if it was not at hand."""
    decision: str
    """As the statement says: `approve`, `reject`, `revoke`, `break_glass`."""
    approver: str
    recorded_at: UnixTime
    completes: bool
    """With it the entry had all the approvals that it needed then, and took the place of
    the one that was approved before."""
    envelope: bytes
    void: bool = False
    """Counts no more: the state was restored, or the signers were replaced by force."""


def add(conn: Connection, connector: str, fresh: Recorded) -> None:
    """Record a statement as the connector's last.

    Of two that do it at once one transaction is lost, and done again.
    """
    last = select(func.max(approvals.c.place)).where(approvals.c.connector == connector)
    conn.execute(
        insert(approvals).values(
            connector=connector,
            place=(conn.execute(last).scalar() or 0) + 1,
            sequence=fresh.sequence,
            digest=fresh.digest,
            entry_digest=fresh.entry_digest,
            owner=fresh.owner,
            decision=fresh.decision,
            approver=fresh.approver,
            recorded_at=fresh.recorded_at,
            completes=fresh.completes,
            void=fresh.void,
            envelope=fresh.envelope,
        )
    )
    note_change(conn)


def of(conn: Connection, connector: str) -> tuple[Recorded, ...]:
    """Give what is recorded of a connector, in order."""
    query = select(approvals).where(approvals.c.connector == connector)
    return tuple(_recorded(row) for row in conn.execute(query.order_by(approvals.c.place)))


def _recorded(row: Row[tuple[object, ...]]) -> Recorded:
    return Recorded(
        sequence=row.sequence,
        digest=row.digest,
        entry_digest=row.entry_digest,
        owner=row.owner,
        decision=row.decision,
        approver=row.approver,
        recorded_at=UnixTime(row.recorded_at),
        completes=row.completes,
        envelope=bytes(row.envelope),
        void=row.void,
    )


def void_all(conn: Connection) -> None:
    """Let no approval count that is recorded by now; what denies goes on to."""
    conn.execute(update(approvals).values(void=True))
    note_change(conn)


def generation(conn: Connection) -> int:
    """Give the number that each change of approvals raises: one cheap query."""
    return counters.value(conn, "approvals")


def note_change(conn: Connection) -> None:
    """Tell those who serve, and remember it against an older copy of this database."""
    counters.advance(conn, "approvals")
    counters.advance(conn, "generation")


def keep_document(conn: Connection, digest: str, content: bytes) -> None:
    """Keep an entry or a surface by its digest; what is there stays."""
    if document(conn, digest) is None:
        conn.execute(insert(approved_documents).values(digest=digest, content=content))


def document(conn: Connection, digest: str) -> bytes | None:
    """Give an entry or a surface that a statement was about."""
    query = select(approved_documents.c.content)
    found = conn.execute(query.where(approved_documents.c.digest == digest)).scalar()
    return None if found is None else bytes(found)


def record_author(
    conn: Connection, connector: str, entry_digest: str, author: str, *, now: UnixTime
) -> None:
    """Remember who made an entry; several may have made the same."""
    key = {"connector": connector, "entry_digest": entry_digest, "author": author}
    if (connector, entry_digest, author) not in _author_keys(conn, connector):
        conn.execute(insert(entry_authors).values(**key, recorded_at=now))


def authors(conn: Connection, connector: str) -> frozenset[tuple[str, str]]:
    """Give digest and author of the connector's entries that were made here."""
    return frozenset((digest, who) for _, digest, who in _author_keys(conn, connector))


def _author_keys(conn: Connection, connector: str) -> set[tuple[str, str, str]]:
    table = entry_authors.c
    query = select(table.connector, table.entry_digest, table.author)
    rows = conn.execute(query.where(table.connector == connector))
    return {(row.connector, row.entry_digest, row.author) for row in rows}
