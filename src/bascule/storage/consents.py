"""Consents that are remembered, so that a verified client need not ask each time."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from bascule.clock import UnixTime
from bascule.storage import issue_numbers, revocations
from bascule.storage.schema import consents as table

LIFETIME_SECONDS = 30 * 86400


def remember(
    conn: Connection,
    *,
    user: str,
    client_id: str,
    redirect_uri: str,
    connector: str,
    scope: str,
    now: UnixTime,
) -> None:
    """Keep one for 30 days."""
    same = (
        (table.c.user_name == user)
        & (table.c.client_id == client_id)
        & (table.c.redirect_uri == redirect_uri)
        & (table.c.connector == connector)
        & (table.c.scope == scope)
    )
    conn.execute(delete(table).where(same | (table.c.expires_at <= now)))
    conn.execute(
        insert(table).values(
            user_name=user,
            client_id=client_id,
            redirect_uri=redirect_uri,
            connector=connector,
            scope=scope,
            number=issue_numbers.take(conn, now=now),
            expires_at=now + LIFETIME_SECONDS,
        )
    )


def forget(conn: Connection, *, user: str, client_id: str) -> None:
    """Forget all that a user has consented to for one client."""
    conn.execute(
        delete(table).where(table.c.user_name == user, table.c.client_id == client_id)
    )


def covers(
    conn: Connection,
    *,
    user: str,
    client_id: str,
    redirect_uri: str,
    connector: str,
    scope: str,
    now: UnixTime,
) -> bool:
    """Tell whether the user has consented to all of this, and nobody revoked it since."""
    wanted = set(scope.split())
    rows = conn.execute(
        select(table.c.scope, table.c.number).where(
            table.c.user_name == user,
            table.c.client_id == client_id,
            table.c.redirect_uri == redirect_uri,
            table.c.connector == connector,
            table.c.expires_at > now,
        )
    ).all()
    return any(
        wanted <= set(row.scope.split())
        and not revocations.covers(
            conn,
            number=row.number,
            user=user,
            client_id=client_id,
            connector=connector,
            grant_id=None,
        )
        for row in rows
    )
