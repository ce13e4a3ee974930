"""Groups as providers provision them (RFC 7643 §4.2); who is in them: `scim_members`.

A group is known by its name: policies name groups by it. So a provider has no two of one
name. Look-ups and changes are as in `scim_users`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    insert,
    select,
    update,
)

from bascule.clock import UnixTime
from bascule.storage.page import page
from bascule.storage.schema import scim_groups as table
from bascule.storage.schema import scim_members


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimGroup:
    """One group."""

    id: str
    """128 random bits in hex."""
    issuer: str
    external_id: str
    """How the provider calls it; empty where it does not say."""
    display_name: str
    created_at: UnixTime
    changed_at: UnixTime
    version: int = 1


@dataclass(frozen=True, slots=True)
class WantedGroup:
    """What groups must be alike to be found; what is None does not count."""

    id: str | None = None
    external_id: str | None = None
    display_name: str | None = None
    member: str | None = None
    """Id of a user that is in it."""


def add(conn: Connection, group: ScimGroup) -> bool:
    """Add a group; False when the provider has one of that name."""
    if _taken(conn, group):
        return False
    conn.execute(insert(table).values(id=group.id, issuer=group.issuer, **_facts(group)))
    return True


def change(conn: Connection, group: ScimGroup, *, version: int) -> bool | None:
    """Put a group in place of what `version` of it was.

    False when another one of the provider has its name, None when that version is not
    there any more.
    """
    if _taken(conn, group):
        return False
    changed = conn.execute(
        update(table)
        .where(_of(group.issuer, group.id), table.c.version == version)
        .values(_facts(group))
        .returning(table.c.id)
    ).scalar()
    return True if changed is not None else None


def remove(conn: Connection, group: ScimGroup) -> bool:
    """Remove a group and its members; False when that version is not there any more."""
    here = and_(_of(group.issuer, group.id), table.c.version == group.version)
    if conn.execute(select(table.c.id).where(here)).first() is None:
        return False
    conn.execute(delete(scim_members).where(scim_members.c.group_id == group.id))
    conn.execute(delete(table).where(here))
    return True


def get(conn: Connection, *, issuer: str, id: str) -> ScimGroup | None:
    """Give one group of a provider."""
    row = conn.execute(select(table).where(_of(issuer, id))).first()
    return None if row is None else _group(row)


def find(
    conn: Connection, *, issuer: str, wanted: WantedGroup, start: int, count: int
) -> tuple[int, list[ScimGroup]]:
    """Give how many groups of a provider are alike, and `count` from the one at `start`."""
    total, rows = page(conn, table, _alike(issuer, wanted), start=start, count=count)
    return total, [_group(row) for row in rows]


def _taken(conn: Connection, group: ScimGroup) -> bool:
    query = select(table.c.id).where(
        table.c.issuer == group.issuer,
        table.c.id != group.id,
        table.c.display_name == group.display_name,
    )
    return conn.execute(query.limit(1)).first() is not None


def _of(issuer: str, id: str) -> ColumnElement[bool]:
    return and_(table.c.issuer == issuer, table.c.id == id)


def _alike(issuer: str, wanted: WantedGroup) -> ColumnElement[bool]:
    conditions = [table.c.issuer == issuer]
    if wanted.id is not None:
        conditions.append(table.c.id == wanted.id)
    if wanted.external_id is not None:
        conditions.append(table.c.external_id == wanted.external_id)
    if wanted.display_name is not None:
        conditions.append(table.c.display_name == wanted.display_name)
    if wanted.member is not None:
        of_member = select(scim_members.c.group_id).where(
            scim_members.c.user_id == wanted.member
        )
        conditions.append(table.c.id.in_(of_member))
    return and_(*conditions)


def _facts(group: ScimGroup) -> dict[str, object]:
    return {
        "external_id": group.external_id,
        "display_name": group.display_name,
        "created_at": group.created_at,
        "changed_at": group.changed_at,
        "version": group.version,
    }


def _group(row: Row[tuple[object, ...]]) -> ScimGroup:
    return ScimGroup(
        id=row.id,
        issuer=row.issuer,
        external_id=row.external_id,
        display_name=row.display_name,
        created_at=UnixTime(row.created_at),
        changed_at=UnixTime(row.changed_at),
        version=row.version,
    )
