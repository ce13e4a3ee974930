"""Revocations: one store for every door."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind, Revocation
from bascule.storage import counters
from bascule.storage.schema import revocations

AFTER_RESTORE = 1 << 32
"""How far issue numbers jump when it is unknown how many were given out."""


def revoke(conn: Connection, *, kind: Kind, key: str, reason: str, now: UnixTime) -> int:
    """Revoke all that was issued until now for `key`; gives the new epoch."""
    up_to = counters.value(conn, "issued")
    conn.execute(
        delete(revocations).where(revocations.c.kind == kind, revocations.c.key == key)
    )
    conn.execute(
        insert(revocations).values(
            kind=kind, key=key, up_to=up_to, revoked_at=now, reason=reason
        )
    )
    counters.advance(conn, "generation")
    return counters.advance(conn, "epoch")


def every(conn: Connection) -> list[Revocation]:
    """Give all entries."""
    return [
        Revocation(kind=row.kind, key=row.key, up_to=row.up_to)
        for row in conn.execute(select(revocations))
    ]


def distrust_restored(conn: Connection, *, known_generation: int, now: UnixTime) -> bool:
    """Revoke everything when this database is older than what was known of it.

    Revocations made since are lost with it, so nothing that was issued can be trusted.
    Tells whether it was so.
    """
    behind = known_generation - counters.value(conn, "generation")
    if behind <= 0:
        return False
    counters.advance(conn, "issued", AFTER_RESTORE)
    counters.advance(conn, "generation", behind)
    reason = "the state was restored from an older copy"
    revoke(conn, kind="all", key="", reason=reason, now=now)
    return True
