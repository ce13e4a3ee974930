"""A page of the rows that are alike, and how many of them there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select


def page(
    conn: Connection, table: Table, alike: ColumnElement[bool], *, start: int, count: int
) -> tuple[int, Sequence[Row[Any]]]:
    """Give how many rows are alike, and `count` of them by id, from the one at `start`."""
    total = conn.execute(select(func.count()).select_from(table).where(alike)).scalar_one()
    if not count:
        return total, ()
    query = select(table).where(alike).order_by(table.c.id).offset(start).limit(count)
    return total, conn.execute(query).all()
