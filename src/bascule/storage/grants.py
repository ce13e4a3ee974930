"""Grants: one consent of a user, and the family of tokens that came of it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.identity.authorization_details import Details
from bascule.identity.confirmation import Confirmation, read_confirmation
from bascule.identity.revocation import LONGEST_LIFE_SECONDS
from bascule.storage import directory, ended_logins, issue_numbers, revocations
from bascule.storage.details import read, written
from bascule.storage.schema import authorization_codes, grants, refresh_tokens

_ONE = select(grants).where(grants.c.id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user has consented to."""

    id: str
    number: int
    """Issue number: a revocation that is not below it covers the grant."""
    user: str
    """`user:NAME`."""
    client_id: str
    connector: str
    scope: str
    created_at: UnixTime
    expires_at: UnixTime
    """Nothing of the family is valid beyond."""
    ended: bool = False
    details: Details | None = None
    """The calls that its tokens are for, and nothing else (RFC 9396)."""
    cnf: Confirmation | None = None
    """What whoever shows its code or a refresh token must hold; None: whoever has one."""


def add(
    conn: Connection,
    *,
    grant_id: str,
    user: str,
    client_id: str,
    connector: str,
    scope: str,
    now: UnixTime,
    expires_at: UnixTime,
    details: Details | None = None,
    cnf: Confirmation | None = None,
) -> Grant | None:
    """Begin a family; None when its user or agent is not enabled.

    Grants that have expired go at the same time, with all that hangs on them.
    """
    if not directory.is_enabled(conn, user=user, client_id=client_id):
        return None
    _forget_expired(conn, now)
    number = issue_numbers.take(conn, now=now)
    grant = Grant(
        id=grant_id,
        number=number,
        user=user,
        client_id=client_id,
        connector=connector,
        scope=scope,
        created_at=now,
        expires_at=expires_at,
        details=details,
        cnf=cnf,
    )
    conn.execute(
        insert(grants).values(
            id=grant.id,
            number=grant.number,
            user_name=grant.user,
            client_id=grant.client_id,
            connector=grant.connector,
            scope=grant.scope,
            created_at=grant.created_at,
            expires_at=grant.expires_at,
            authorization_details=written(grant.details),
            cnf=written_cnf(grant.cnf),
        )
    )
    return grant


def bind(conn: Connection, grant_id: str, cnf: Confirmation | None) -> None:
    """Bind the refresh tokens of a grant to what the client holds, or to nothing."""
    values = {"cnf": written_cnf(cnf)}
    conn.execute(update(grants).where(grants.c.id == grant_id).values(values))


def written_cnf(cnf: Confirmation | None) -> str | None:
    """Write what a grant is bound to, as its column has it; the same text each time."""
    return (
        None
        if cnf is None
        else msgspec.json.encode(cnf.document(), order="sorted").decode()
    )


def _forget_expired(conn: Connection, now: UnixTime) -> None:
    expired = select(grants.c.id).where(grants.c.expires_at <= now).scalar_subquery()
    for table in (authorization_codes, refresh_tokens):
        conn.execute(delete(table).where(table.c.grant_id.in_(expired)))
    conn.execute(delete(grants).where(grants.c.expires_at <= now))


def find(conn: Connection, grant_id: str) -> Grant | None:
    """Give a grant, whether or not it still counts; None once it is forgotten."""
    row = conn.execute(_ONE, {"id": grant_id}).one_or_none()
    if row is None:
        return None
    return Grant(
        id=row.id,
        number=row.number,
        user=row.user_name,
        client_id=row.client_id,
        connector=row.connector,
        scope=row.scope,
        created_at=UnixTime(row.created_at),
        expires_at=UnixTime(row.expires_at),
        ended=row.ended_at is not None,
        details=read(row.authorization_details),
        cnf=None if row.cnf is None else read_confirmation(msgspec.json.decode(row.cnf)),
    )


def live(conn: Connection, grant_id: str, *, now: UnixTime) -> Grant | None:
    """Give a grant under which tokens may be issued, else None.

    Not one that was ended, has expired, was revoked, or whose user or agent is disabled.
    """
    grant = find(conn, grant_id)
    if grant is None or grant.ended or grant.expires_at <= now:
        return None
    enabled = directory.is_enabled(conn, user=grant.user, client_id=grant.client_id)
    return grant if enabled and not _is_revoked(conn, grant) else None


def _is_revoked(conn: Connection, grant: Grant) -> bool:
    return revocations.covers(
        conn,
        number=grant.number,
        user=grant.user,
        client_id=grant.client_id,
        connector=grant.connector,
        grant_id=grant.id,
    )


def of_user(conn: Connection, user: str, *, now: UnixTime) -> list[Grant]:
    """Give the grants of a user under which a client can still get tokens, newest first."""
    usable = select(refresh_tokens.c.grant_id).where(
        refresh_tokens.c.used_at.is_(None), refresh_tokens.c.expires_at > now
    )
    ids = conn.execute(
        select(grants.c.id)
        .where(grants.c.user_name == user, grants.c.id.in_(usable.scalar_subquery()))
        .order_by(grants.c.number.desc())
    ).scalars()
    found = [live(conn, grant_id, now=now) for grant_id in ids.all()]
    return [grant for grant in found if grant is not None]


def end_numbered(
    conn: Connection, *, user: str, number: int, reason: str, now: UnixTime
) -> bool:
    """End the family of a user that has that issue number; False as `end` says."""
    query = select(grants.c.id).where(grants.c.user_name == user, grants.c.number == number)
    grant_id = conn.execute(query).scalar()
    return grant_id is not None and end(conn, grant_id, reason=reason, now=now)


def end(conn: Connection, grant_id: str, *, reason: str, now: UnixTime) -> bool:
    """End a family: its code, refresh tokens and access tokens.

    False when there is none, or it has ended already.
    """
    ended = conn.execute(
        update(grants)
        .where(grants.c.id == grant_id, grants.c.ended_at.is_(None))
        .values(ended_at=now)
        .returning(grants.c.user_name)
    ).scalar()
    if ended is None:
        return False
    ended_logins.end_unused(conn, now=now, user=ended)
    # The row above ends codes and refresh tokens; this one, access tokens that are out and
    # sessions that were begun with them.
    revocations.revoke(
        conn,
        kind="grant",
        key=grant_id,
        reason=reason,
        now=now,
        expires_at=UnixTime(now + LONGEST_LIFE_SECONDS),
    )
    return True
