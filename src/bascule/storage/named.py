"""The rows that a revocation names, in any table of what was issued."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, false, true

from bascule.identity.revocation import Kind

_COLUMNS = {"user": "user_name", "agent": "client_id"}


def named(
    table: Table, kind: Kind, key: str, *, grant: str = "grant_id"
) -> ColumnElement[bool]:
    """Select them; none in a table that has no such column.

    `grant`: the column that holds the id of a grant.
    """
    if kind == "all":
        return true()
    column = table.c.get(grant if kind == "grant" else _COLUMNS.get(kind, kind))
    return false() if column is None else column == key
