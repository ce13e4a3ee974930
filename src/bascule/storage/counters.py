"""Numbers that only grow: issue numbers, the epoch, the generation of the directory."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, insert, select, update

from bascule.storage.schema import counters

Name = Literal["issued", "epoch", "generation"]


def value(conn: Connection, name: Name) -> int:
    """Give a counter's value; 0 before its first use."""
    found = conn.execute(select(counters.c.value).where(counters.c.name == name)).scalar()
    return 0 if found is None else int(found)


def advance(conn: Connection, name: Name, by: int = 1) -> int:
    """Raise a counter and give its new value; one statement, so no value is given twice."""
    raised = conn.execute(
        update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + by)
        .returning(counters.c.value)
    ).scalar()
    if raised is None:
        conn.execute(insert(counters).values(name=name, value=by))
        return by
    return int(raised)
