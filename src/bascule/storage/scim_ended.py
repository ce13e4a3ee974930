"""Whom provisioning has ended: kept out of every login until it lets them in again.

It goes by the provider's own id of a user, so that it also holds for who never signed in
here. What an administrator disables is another thing, and lies elsewhere.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, literal, select

from bascule.clock import UnixTime
from bascule.storage.schema import federated_users, users
from bascule.storage.schema import scim_ended as table

_same = and_(
    table.c.issuer == federated_users.c.issuer,
    table.c.external_id == federated_users.c.external_id,
)
OF_USER = (
    select(literal(1))
    .select_from(federated_users.join(table, _same))
    .where(federated_users.c.user_name == users.c.name)
    .correlate(users)
    .exists()
)
"""Whether the user of a row of `users` is kept out so."""


def bar(conn: Connection, *, issuer: str, external_id: str, now: UnixTime) -> None:
    """Keep a user out from now on."""
    if not holds(conn, issuer=issuer, external_id=external_id):
        row = {"issuer": issuer, "external_id": external_id, "ended_at": now}
        conn.execute(insert(table).values(row))


def lift(conn: Connection, *, issuer: str, external_id: str) -> bool:
    """Keep a user out no longer; False when it was not."""
    lifted = conn.execute(
        delete(table)
        .where(table.c.issuer == issuer, table.c.external_id == external_id)
        .returning(table.c.external_id)
    ).scalar()
    return lifted is not None


def lift_user(conn: Connection, name: str) -> bool:
    """Keep a user out no longer who has signed in, by its name; False when it was not."""
    same = federated_users.c.user_name == name
    row = conn.execute(select(federated_users).where(same)).first()
    return row is not None and lift(conn, issuer=row.issuer, external_id=row.external_id)


def holds(conn: Connection, *, issuer: str, external_id: str) -> bool:
    """Tell whether a user is kept out."""
    found = select(table.c.ended_at).where(
        table.c.issuer == issuer, table.c.external_id == external_id
    )
    return conn.execute(found).first() is not None


def names(conn: Connection) -> frozenset[str]:
    """Give the names of all users that are kept out, as far as they ever signed in."""
    found = select(federated_users.c.user_name).join(table, _same)
    return frozenset(conn.execute(found).scalars())
