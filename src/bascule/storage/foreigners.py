"""Users and agents of foreign issuers that are let in no more.

Their issuer vouches for them; a row of their own has only who signed in here, and that is
disabled too. To disable one is to revoke all that it was and will be issued: a foreign
token is revoked when it was issued by the second of the revocation, and here that second
never comes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, update

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import revocations, scim_ended
from bascule.storage.schema import revocations as table
from bascule.storage.schema import users

FOREVER = UnixTime(1 << 53)


@dataclass(frozen=True, slots=True)
class Foreigner:
    """One that is disabled."""

    kind: Kind
    key: str
    """`user:ISSUER|SUB`, or `ISSUER|CLIENT_ID`."""


def disable(conn: Connection, *, who: Foreigner, now: UnixTime) -> None:
    """Let one in no more, and revoke what it has."""
    revocations.revoke(
        conn,
        kind=who.kind,
        key=who.key,
        reason=f"{who.kind} disabled",
        now=now,
        revoked_at=FOREVER,
    )
    _mark(conn, who, disabled_at=now)


def _mark(conn: Connection, who: Foreigner, *, disabled_at: UnixTime | None) -> None:
    name = who.key.removeprefix("user:")
    if who.kind == "user":
        row = update(users).where(users.c.name == name)
        conn.execute(row.values(disabled_at=disabled_at))


def enable(conn: Connection, *, who: Foreigner, now: UnixTime) -> bool:
    """Let one in again; what was issued until now stays revoked.

    Also who was ended by provisioning, until that says so again. False when it was neither.
    """
    ended = who.kind == "user" and scim_ended.lift_user(conn, who.key[len("user:") :])
    if who not in every(conn) and not ended:
        return False
    conn.execute(
        delete(table).where(and_(table.c.kind == who.kind, table.c.key == who.key))
    )
    revocations.revoke(
        conn, kind=who.kind, key=who.key, reason=f"{who.kind} enabled", now=now
    )
    _mark(conn, who, disabled_at=None)
    return True


def is_kept_out(conn: Connection, *, who: Foreigner) -> bool:
    """Tell whether one is disabled, or was ended by provisioning."""
    return who in every(conn) or (
        who.kind == "user" and who.key.removeprefix("user:") in scim_ended.names(conn)
    )


def every(conn: Connection) -> list[Foreigner]:
    """Give all that are disabled, in the order of their names."""
    found = select(table.c.kind, table.c.key).where(table.c.revoked_at == FOREVER)
    return [
        Foreigner(row.kind, row.key) for row in conn.execute(found.order_by(table.c.key))
    ]
