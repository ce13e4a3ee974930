"""Access grants: rights outside of roles, each asked for, decided, and over in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, update

from bascule.clock import UnixTime
from bascule.decision.granted import Granted
from bascule.identity.revocation import Kind
from bascule.storage import counters
from bascule.storage.named import named
from bascule.storage.schema import access_grants as table

MAX_SECONDS = 30 * 86_400
"""No grant is longer."""

Decision = Literal["grant", "deny"]
State = Literal["requested", "active", "denied", "ended", "expired"]


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """A right that somebody asked for, and what became of it."""

    id: str
    user: str | None
    """`user:…`; None: the agent by itself."""
    agent: str | None
    """Through which alone the user may, or which may by itself."""
    connector: str
    entries: tuple[str, ...]
    """As in `roles.*.allow`, all of that connector."""
    seconds: int
    """For how long, from the decision on."""
    reason: str
    requested_by: str
    requested_at: UnixTime
    expires_at: UnixTime
    """Of the right; before the decision, of the request."""
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: UnixTime | None = None
    decision_reason: str | None = None
    ended_at: UnixTime | None = None
    end_reason: str | None = None

    def state(self, now: UnixTime) -> State:
        """Say what it is at a moment; `active` is the only one that gives a right."""
        if self.decision == "deny":
            return "denied"
        if self.ended_at is not None:
            return "ended" if self.ended_at < self.expires_at else "expired"
        if self.expires_at <= now:
            return "expired"
        return "active" if self.decision == "grant" else "requested"


def find(conn: Connection, grant_id: str) -> AccessGrant | None:
    """Give one, whatever became of it; None once it is forgotten."""
    row = conn.execute(select(table).where(table.c.id == grant_id)).one_or_none()
    return None if row is None else _read(row)


def every(conn: Connection) -> list[AccessGrant]:
    """Give all that are not forgotten, in the order in which they were asked for."""
    query = select(table).order_by(table.c.requested_at, table.c.id)
    return [_read(row) for row in conn.execute(query)]


def in_force(conn: Connection, *, now: UnixTime) -> tuple[Granted, ...]:
    """Give those that count, as decisions need them, in the order of their ids."""
    query = select(table).where(table.c.decision == "grant", _goes_on(now))
    found = map(_read, conn.execute(query.order_by(table.c.id)))
    return tuple(
        Granted(it.id, it.user, it.agent, it.entries, it.expires_at) for it in found
    )


def count_revocable(conn: Connection, *, kind: Kind, key: str, now: UnixTime) -> int:
    """Give how many grants and requests a revocation of that kind and key would end."""
    query = select(func.count()).select_from(table).where(_goes_on(now))
    return int(conn.execute(query.where(named(table, kind, key, grant="id"))).scalar_one())


def end(conn: Connection, grant_id: str, *, reason: str, now: UnixTime) -> bool:
    """End a grant, or withdraw a request; False when there is none that goes on."""
    return _end(conn, and_(table.c.id == grant_id, _goes_on(now)), reason, now)


def end_revoked(
    conn: Connection, *, kind: Kind, key: str, reason: str, now: UnixTime
) -> None:
    """End what a revocation names, requests too; enabling somebody brings none back.

    Whatever the clock says: were it set back, none that seemed over would come alive.
    """
    _end(conn, named(table, kind, key, grant="id"), reason, now)


def generation(conn: Connection) -> int:
    """Give the number that each change of what is in force raises: one cheap query."""
    return counters.value(conn, "access_grants")


def note_change(conn: Connection) -> None:
    """Tell those who serve, and remember it against an older copy of this database."""
    counters.advance(conn, "access_grants")
    counters.advance(conn, "generation")


def _end(conn: Connection, which: ColumnElement[bool], reason: str, now: UnixTime) -> bool:
    ended = conn.execute(
        update(table)
        .where(which, table.c.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(table.c.id)
    ).all()
    if ended:
        note_change(conn)
    return bool(ended)


def _goes_on(now: UnixTime) -> ColumnElement[bool]:
    undenied = or_(table.c.decision.is_(None), table.c.decision == "grant")
    return and_(table.c.ended_at.is_(None), table.c.expires_at > now, undenied)


def _read(row: Row[tuple[object, ...]]) -> AccessGrant:
    return AccessGrant(
        id=row.id,
        user=row.user_name,
        agent=row.client_id,
        connector=row.connector,
        entries=msgspec.json.decode(row.entries, type=tuple[str, ...]),
        seconds=row.seconds,
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decision=row.decision,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
    )
