"""Numbers that only grow: issue numbers, the epoch, generations of what changes."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, bindparam, case, insert, select, update

from bascule.storage.schema import counters

Name = Literal["issued", "epoch", "generation", "approvals", "access_grants"]
_VALUE = select(counters.c.value).where(counters.c.name == bindparam("counter"))
_SUM = counters.c.value + bindparam("by")
_ADVANCE = (
    update(counters)
    .where(counters.c.name == bindparam("counter"))
    .values(value=case((bindparam("least") > _SUM, bindparam("least")), else_=_SUM))
    .returning(counters.c.value)
)


def value(conn: Connection, name: Name) -> int:
    """Give a counter's value; 0 before its first use."""
    found = conn.execute(_VALUE, {"counter": name}).scalar()
    return 0 if found is None else int(found)


def advance(conn: Connection, name: Name, by: int = 1, *, at_least: int = 0) -> int:
    """Raise a counter and give its new value; one statement, so no value is given twice.

    It becomes `at_least` when that is more than its value and `by`.
    """
    values = {"counter": name, "by": by, "least": at_least}
    raised = conn.execute(_ADVANCE, values).scalar()
    if raised is None:
        raised = max(by, at_least)
        conn.execute(insert(counters).values(name=name, value=raised))
    return int(raised)
