"""What identities have touched: labels of what they used, and until when each counts."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import touches as table

KEPT_SECONDS = 86_400
"""What has ended is kept so long: another host's clock may be behind."""


def open_labels(
    conn: Connection, *, user: str | None, agent: str, now: UnixTime
) -> dict[str, UnixTime]:
    """Give the labels that count for an identity, each with the time at which it ends."""
    query = select(table.c.label, table.c.open_until).where(
        table.c.user_name == (user or ""),
        table.c.client_id == agent,
        table.c.open_until > now,
    )
    return {row.label: UnixTime(row.open_until) for row in conn.execute(query)}


def touch(
    conn: Connection,
    *,
    user: str | None,
    agent: str,
    until: Mapping[str, UnixTime],
    now: UnixTime,
) -> None:
    """Let labels count for an identity until the times that are given, or longer.

    Nothing ends earlier by it. What has ended a day ago, of anybody, is forgotten.
    """
    conn.execute(delete(table).where(table.c.open_until <= now - KEPT_SECONDS))
    ever = UnixTime(0)
    known = open_labels(conn, user=user, agent=agent, now=ever)
    for label, end in until.items():
        key = {"user_name": user or "", "client_id": agent, "label": label}
        if label not in known:
            conn.execute(insert(table).values(**key, open_until=end))
        elif known[label] < end:
            same = (table.c[name] == value for name, value in key.items())
            conn.execute(update(table).where(*same).values(open_until=end))
