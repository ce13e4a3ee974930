"""Users as providers provision them (RFC 7643 §4.1): what of it matters here.

Every look-up is of one provider: none sees, names or changes another's. A change is made by
compare-and-set on `version`, so that nobody overwrites what they have not seen.
"""

from __future__ import annotations

from collections.abc import Collection
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
from bascule.storage.pieces import pieces
from bascule.storage.schema import scim_members
from bascule.storage.schema import scim_users as table


@dataclass(frozen=True, slots=True, kw_only=True)
class ScimUser:
    """One user."""

    id: str
    """128 random bits in hex."""
    issuer: str
    external_id: str
    """How the provider calls it; equals the claim that ties its login to it."""
    user_name: str
    display_name: str
    active: bool
    created_at: UnixTime
    changed_at: UnixTime
    version: int = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What users must be alike to be found; what is None does not count."""

    id: str | None = None
    external_id: str | None = None
    user_name: str | None = None
    """Compared without case (RFC 7643 §4.1.1)."""
    display_name: str | None = None
    active: bool | None = None


def key_of(user_name: str) -> str:
    """Give a user name as it is compared."""
    return user_name.casefold()


def add(conn: Connection, user: ScimUser) -> bool:
    """Add a user; False when the provider has one of that name or external id."""
    if _taken(conn, user):
        return False
    conn.execute(insert(table).values(id=user.id, issuer=user.issuer, **_facts(user)))
    return True


def change(conn: Connection, user: ScimUser, *, version: int) -> bool | None:
    """Put a user in place of what `version` of it was.

    False when another one of the provider has its name or external id, None when that
    version is not there any more.
    """
    if _taken(conn, user):
        return False
    changed = conn.execute(
        update(table)
        .where(_of(user.issuer, user.id), table.c.version == version)
        .values(_facts(user))
        .returning(table.c.id)
    ).scalar()
    return True if changed is not None else None


def remove(conn: Connection, user: ScimUser) -> bool:
    """Remove a user and its memberships; False when that version is not there any more."""
    here = and_(_of(user.issuer, user.id), table.c.version == user.version)
    if conn.execute(select(table.c.id).where(here)).first() is None:
        return False
    conn.execute(delete(scim_members).where(scim_members.c.user_id == user.id))
    conn.execute(delete(table).where(here))
    return True


def get(conn: Connection, *, issuer: str, id: str) -> ScimUser | None:
    """Give one user of a provider."""
    row = conn.execute(select(table).where(_of(issuer, id))).first()
    return None if row is None else _user(row)


def find(
    conn: Connection, *, issuer: str, wanted: Wanted, start: int, count: int
) -> tuple[int, list[ScimUser]]:
    """Give how many users of a provider are alike, and `count` from the one at `start`."""
    total, rows = page(conn, table, _alike(issuer, wanted), start=start, count=count)
    return total, [_user(row) for row in rows]


def external_ids(conn: Connection, *, issuer: str, ids: Collection[str]) -> dict[str, str]:
    """Give external ids by id, of those that are users of the provider."""
    found: dict[str, str] = {}
    for some in pieces(ids):
        query = select(table.c.id, table.c.external_id).where(
            table.c.issuer == issuer, table.c.id.in_(some)
        )
        found |= {row.id: row.external_id for row in conn.execute(query)}
    return found


def _taken(conn: Connection, user: ScimUser) -> bool:
    same = (table.c.external_id == user.external_id) | (
        table.c.user_name_key == key_of(user.user_name)
    )
    query = select(table.c.id).where(
        table.c.issuer == user.issuer, table.c.id != user.id, same
    )
    return conn.execute(query.limit(1)).first() is not None


def _of(issuer: str, id: str) -> ColumnElement[bool]:
    return and_(table.c.issuer == issuer, table.c.id == id)


def _alike(issuer: str, wanted: Wanted) -> ColumnElement[bool]:
    conditions = [table.c.issuer == issuer]
    if wanted.id is not None:
        conditions.append(table.c.id == wanted.id)
    if wanted.external_id is not None:
        conditions.append(table.c.external_id == wanted.external_id)
    if wanted.user_name is not None:
        conditions.append(table.c.user_name_key == key_of(wanted.user_name))
    if wanted.display_name is not None:
        conditions.append(table.c.display_name == wanted.display_name)
    if wanted.active is not None:
        conditions.append(table.c.active.is_(wanted.active))
    return and_(*conditions)


def _facts(user: ScimUser) -> dict[str, object]:
    return {
        "external_id": user.external_id,
        "user_name": user.user_name,
        "user_name_key": key_of(user.user_name),
        "display_name": user.display_name,
        "active": user.active,
        "created_at": user.created_at,
        "changed_at": user.changed_at,
        "version": user.version,
    }


def _user(row: Row[tuple[object, ...]]) -> ScimUser:
    return ScimUser(
        id=row.id,
        issuer=row.issuer,
        external_id=row.external_id,
        user_name=row.user_name,
        display_name=row.display_name,
        active=row.active,
        created_at=UnixTime(row.created_at),
        changed_at=UnixTime(row.changed_at),
        version=row.version,
    )
