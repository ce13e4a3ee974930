"""Rows that something is to be done for elsewhere: a few attempts, by one process each.

A table of such rows has the columns `tries` and `next_try_at`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, select, true, update

from bascule.clock import UnixTime

RETRY_SECONDS = (0, 5, 60, 600, 3600, 21_600)
"""Before each attempt; after the last of them nothing is tried any more."""
LIMIT = 20
"""Rows that are taken at once."""


def is_last(tries: int) -> bool:
    """Tell whether an attempt after so many others is the last."""
    return tries + 1 >= len(RETRY_SECONDS)


def is_due(
    conn: Connection,
    table: Table,
    *,
    now: UnixTime,
    among: ColumnElement[bool] | None = None,
) -> bool:
    """Tell whether `take` would give something: one cheap query."""
    due = _due(table, now, among)
    return conn.execute(select(table.c.tries).where(due).limit(1)).first() is not None


def take(
    conn: Connection,
    table: Table,
    *,
    now: UnixTime,
    among: ColumnElement[bool] | None = None,
) -> Sequence[Row[Any]]:
    """Take rows whose next attempt is due, with the attempts before it.

    Nobody else gets them until the attempt after that is due.
    """
    key = tuple(table.primary_key.columns)
    due = _due(table, now, among)
    rows = conn.execute(select(table).where(due).order_by(*key).limit(LIMIT)).all()
    for row in rows:
        same = and_(*(column == row._mapping[column.name] for column in key))
        tries = row._mapping["tries"] + 1
        wait = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
        conn.execute(update(table).where(same).values(tries=tries, next_try_at=now + wait))
    return rows


def _due(
    table: Table, now: UnixTime, among: ColumnElement[bool] | None
) -> ColumnElement[bool]:
    return and_(true() if among is None else among, table.c.next_try_at <= now)
