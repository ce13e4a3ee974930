"""Calls of a rate's period, drawn in portions: no call is given out twice."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import drawn_calls as table

PORTION = 20
"""One draw takes a twentieth of what is left: then few calls wait for a commit, and little
lies unused with processes that are not asked any more."""
KEPT_SECONDS = 86_400
"""Periods that are over are kept so long: another host's clock may be behind."""


def draw(
    conn: Connection,
    *,
    rate: str,
    holder_hash: bytes,
    ends_at: UnixTime,
    calls: int,
    now: UnixTime,
) -> int:
    """Draw calls of a period that has so many in all; 0 when none is left.

    What is drawn is spent, whether or not it comes to be used.
    """
    row = and_(
        table.c.rate == rate,
        table.c.holder_hash == holder_hash,
        table.c.ends_at == ends_at,
    )
    drawn = conn.execute(select(table.c.drawn).where(row)).scalar()
    left = calls - (drawn or 0)
    if left <= 0:
        return 0
    portion = max(1, left // PORTION)
    if drawn is None:
        conn.execute(delete(table).where(table.c.ends_at <= now - KEPT_SECONDS))
        key = {"rate": rate, "holder_hash": holder_hash, "ends_at": ends_at}
        conn.execute(insert(table).values(**key, drawn=portion))
    else:
        conn.execute(update(table).where(row).values(drawn=drawn + portion))
    return portion
