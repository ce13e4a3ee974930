"""Access tokens that were issued: their numbers, never the tokens."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert

from bascule.clock import UnixTime
from bascule.storage import counters
from bascule.storage.schema import tokens


def register(
    conn: Connection,
    *,
    jti: str,
    user: str | None,
    client_id: str,
    connector: str,
    scope: str,
    issued_at: UnixTime,
    expires_at: UnixTime,
) -> int:
    """Note a token that is about to be issued and give its issue number."""
    number = counters.advance(conn, "issued")
    conn.execute(
        insert(tokens).values(
            number=number,
            jti=jti,
            user_name=user,
            client_id=client_id,
            connector=connector,
            scope=scope,
            issued_at=issued_at,
            expires_at=expires_at,
        )
    )
    return number


def forget_expired(conn: Connection, *, before: UnixTime) -> int:
    """Drop the rows of tokens that expired before a time; gives how many."""
    return conn.execute(delete(tokens).where(tokens.c.expires_at < before)).rowcount
