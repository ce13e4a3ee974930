"""Assertions and notices that were shown: none counts twice (RFC 7523 §3)."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from bascule.clock import UnixTime
from bascule.storage.schema import used_assertions as table


def use(conn: Connection, *, digest: bytes, expires_at: UnixTime, now: UnixTime) -> bool:
    """Note one; False when it was shown before. The primary key decides between two.

    It is kept until `expires_at`, after which it must be refused for its age.
    """
    conn.execute(delete(table).where(table.c.expires_at < now))
    try:
        with conn.begin_nested():
            conn.execute(insert(table).values(digest=digest, expires_at=expires_at))
    except IntegrityError:
        return False
    return True


def is_used(conn: Connection, *, digest: bytes) -> bool:
    """Tell whether one was shown before."""
    query = select(table.c.digest).where(table.c.digest == digest)
    return conn.execute(query).first() is not None
