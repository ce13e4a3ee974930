"""Who is in which provisioned group."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from bascule.storage.pieces import pieces
from bascule.storage.schema import scim_groups, scim_users
from bascule.storage.schema import scim_members as table


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What becomes of a group's members; all are ids of users."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    only: bool = False
    """Whether `added` are all members that there are after it."""


def of_groups(conn: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Give the ids of members of groups, by group, in order."""
    found: dict[str, list[str]] = {}
    for some in pieces(ids):
        query = (
            select(table.c.group_id, table.c.user_id)
            .where(table.c.group_id.in_(some))
            .order_by(table.c.user_id)
        )
        for row in conn.execute(query):
            found.setdefault(row.group_id, []).append(row.user_id)
    return found


def ids_of(conn: Connection, group_id: str) -> frozenset[str]:
    """Give the ids of a group's members."""
    query = select(table.c.user_id).where(table.c.group_id == group_id)
    return frozenset(conn.execute(query).scalars())


def change(conn: Connection, group_id: str, wanted: MemberChange) -> frozenset[str]:
    """Change who is in a group, and give the ids of those of whom it is not as before.

    The caller has looked whether those added are users of the group's provider.
    """
    before = ids_of(conn, group_id)
    after = wanted.added if wanted.only else (before - wanted.removed) | wanted.added
    for some in pieces(before - after):
        gone = (table.c.group_id == group_id) & table.c.user_id.in_(some)
        conn.execute(delete(table).where(gone))
    new = [{"group_id": group_id, "user_id": id} for id in sorted(after - before)]
    if new:
        conn.execute(insert(table), new)
    return before ^ after


def group_names(
    conn: Connection, *, issuer: str, external_ids: Iterable[str]
) -> dict[str, set[str]]:
    """Give the names of a provider's groups by external id of those who are in them."""
    found: dict[str, set[str]] = {}
    for some in pieces(external_ids):
        query = (
            select(scim_users.c.external_id, scim_groups.c.display_name)
            .join(table, table.c.user_id == scim_users.c.id)
            .join(scim_groups, scim_groups.c.id == table.c.group_id)
            .where(scim_users.c.issuer == issuer, scim_users.c.external_id.in_(some))
        )
        for row in conn.execute(query):
            found.setdefault(row.external_id, set()).add(row.display_name)
    return found
