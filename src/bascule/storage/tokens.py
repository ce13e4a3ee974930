"""Access tokens that were issued: their numbers, never the tokens."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import directory, issue_numbers
from bascule.storage.named import named
from bascule.storage.schema import tokens

_EXPIRED = delete(tokens).where(tokens.c.expires_at < bindparam("now"))
_NEW = insert(tokens)


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
    grant_id: str | None = None,
) -> int | None:
    """Note a token that is about to be issued and give its issue number.

    None when its user or agent is not enabled, looked up in the same transaction: otherwise
    a token issued while somebody is disabled would come alive with them. Rows of expired
    tokens go at the same time.
    """
    if not directory.is_enabled(conn, user=user, client_id=client_id):
        return None
    conn.execute(_EXPIRED, {"now": issued_at})
    number = issue_numbers.take(conn, now=issued_at)
    row = {
        "number": number,
        "jti": jti,
        "user_name": user,
        "client_id": client_id,
        "connector": connector,
        "scope": scope,
        "issued_at": issued_at,
        "expires_at": expires_at,
        "grant_id": grant_id,
    }
    conn.execute(_NEW, row)
    return number


def count_live(conn: Connection, *, kind: Kind, key: str, now: UnixTime) -> int:
    """Give how many unexpired tokens a revocation of that kind and key is about."""
    query = select(func.count()).select_from(tokens).where(tokens.c.expires_at > now)
    return int(conn.execute(query.where(named(tokens, kind, key))).scalar_one())
