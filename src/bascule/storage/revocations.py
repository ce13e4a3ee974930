"""Revocations: one store for every door."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind, Revocation
from bascule.storage import (
    access_grants,
    approvals,
    counters,
    ended_logins,
    issue_numbers,
    linked_accounts,
)
from bascule.storage.schema import revocations

_ABOUT_IT = ("user", "agent", "connector", "grant")
_COVERING = (
    select(revocations.c.key)
    .where(
        or_(
            revocations.c.kind == "all",
            *(
                and_(revocations.c.kind == kind, revocations.c.key == bindparam(kind))
                for kind in _ABOUT_IT
            ),
        ),
        revocations.c.up_to >= bindparam("number"),
    )
    .limit(1)
)


def revoke(
    conn: Connection,
    *,
    kind: Kind,
    key: str,
    reason: str,
    now: UnixTime,
    expires_at: UnixTime | None = None,
    revoked_at: UnixTime | None = None,
) -> int:
    """Revoke all that was issued until now for `key`; gives the new epoch.

    `revoked_at`, if it is not now: the second up to which foreign tokens are revoked. A
    later revocation never takes back an earlier one, whatever the clock says.
    `expires_at`: when nothing that it names can be valid any more; one that was without an
    end stays so. Entries beyond that go with the next revocation, so that clients which end
    their tokens leave no mountain.
    Access grants, linked accounts and logins at providers end with it, each in its own row.
    """
    up_to = issue_numbers.close(conn, now=now)
    same = and_(revocations.c.kind == kind, revocations.c.key == key)
    before = conn.execute(select(revocations).where(same)).first()
    if before is not None:
        revoked_at = max(before.revoked_at, revoked_at or now)
        expires_at = _later(before.expires_at, expires_at)
    conn.execute(delete(revocations).where(or_(same, revocations.c.expires_at < now)))
    conn.execute(
        insert(revocations).values(
            kind=kind,
            key=key,
            up_to=up_to,
            revoked_at=revoked_at or now,
            reason=reason,
            expires_at=expires_at,
        )
    )
    access_grants.end_revoked(conn, kind=kind, key=key, reason=reason, now=now)
    linked_accounts.end_revoked(conn, kind=kind, key=key, reason=reason, now=now)
    ended_logins.end_revoked(conn, kind=kind, key=key, now=now)
    counters.advance(conn, "generation")
    return counters.advance(conn, "epoch")


def _later(end: int | None, other: int | None) -> UnixTime | None:
    """Give the later of two ends; None: there is none."""
    return None if end is None or other is None else UnixTime(max(end, other))


def every(conn: Connection) -> list[Revocation]:
    """Give all entries."""
    return [
        Revocation(
            kind=row.kind,
            key=row.key,
            up_to=row.up_to,
            revoked_at=UnixTime(row.revoked_at),
        )
        for row in conn.execute(select(revocations))
    ]


def covers(
    conn: Connection,
    *,
    number: int,
    user: str,
    client_id: str,
    connector: str,
    grant_id: str | None,
) -> bool:
    """Tell whether a grant or consent of that issue number is revoked."""
    keys = {"user": user, "agent": client_id, "connector": connector, "grant": grant_id}
    return conn.execute(_COVERING, {**keys, "number": number}).first() is not None


def distrust_restored(conn: Connection, *, known_generation: int, now: UnixTime) -> bool:
    """Revoke everything when this database is older than what was known of it.

    Revocations made since are lost with it, so nothing that was issued can be trusted, and
    no approval.
    Generation and epoch become higher than any that was ever seen: the epoch never grows
    faster than the generation. Tells whether it was so.
    """
    behind = known_generation - counters.value(conn, "generation")
    if behind <= 0:
        return False
    counters.advance(conn, "generation", behind)
    counters.advance(conn, "epoch", behind)
    approvals.void_all(conn)
    reason = "the state was restored from an older copy"
    revoke(conn, kind="all", key="", reason=reason, now=now)
    return True
