"""What probes of boundaries came to: one row for each connector and place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from bascule.clock import UnixTime
from bascule.storage.schema import boundary_verdicts as table


@dataclass(frozen=True, slots=True)
class Kept:
    """The last probe of a connector from one place."""

    connector: str
    place: str
    """Who probed: a host's name, or that of a vantage point."""
    subject: str
    """Which server it was, by a digest: a verdict is of no other one."""
    inward: str
    """`inside`, `outside` or `unknown`: whether the server answers Bascule alone."""
    outward: str
    """The same of what it reaches."""
    since: UnixTime
    """From when on it was so inward."""
    checked_at: UnixTime
    document: bytes
    """JSON: what was tried, and what was found."""


def every(conn: Connection) -> list[Kept]:
    """Give all, by connector and place."""
    query = select(table).order_by(table.c.connector, table.c.place)
    return [
        Kept(
            row.connector,
            row.place,
            row.subject,
            row.inward,
            row.outward,
            UnixTime(row.since),
            UnixTime(row.checked_at),
            bytes(row.document),
        )
        for row in conn.execute(query)
    ]


def put(conn: Connection, kept: Kept) -> None:
    """Keep one in the place of the one before."""
    same = (table.c.connector == kept.connector) & (table.c.place == kept.place)
    conn.execute(delete(table).where(same))
    conn.execute(
        insert(table).values(
            connector=kept.connector,
            place=kept.place,
            subject=kept.subject,
            inward=kept.inward,
            outward=kept.outward,
            since=kept.since,
            checked_at=kept.checked_at,
            document=kept.document,
        )
    )


def forget(
    conn: Connection,
    *,
    connectors: Collection[str],
    before: UnixTime,
    place: str | None = None,
) -> None:
    """Forget what is of no connector that there is, and what is older than a time.

    `place`: the only one that there is; None for one of many.
    """
    gone = table.c.connector.not_in(list(connectors)) | (table.c.checked_at < before)
    if place is not None:
        gone |= table.c.place != place
    conn.execute(delete(table).where(gone))
