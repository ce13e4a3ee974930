"""Authorization codes: 60 seconds, one use; only their hashes are kept."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from bascule.clock import UnixTime
from bascule.storage import grants
from bascule.storage.grants import Grant
from bascule.storage.schema import authorization_codes as table

LIFETIME_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reused:
    """A code or refresh token was shown again: its family has been ended."""

    grant_id: str


def add(
    conn: Connection,
    *,
    code_hash: bytes,
    grant: Grant,
    redirect_uri: str,
    code_challenge: str,
    now: UnixTime,
) -> None:
    """Keep a code of a grant."""
    conn.execute(
        insert(table).values(
            code_hash=code_hash,
            grant_id=grant.id,
            client_id=grant.client_id,
            redirect_uri=redirect_uri,
            code_challenge=code_challenge,
            expires_at=now + LIFETIME_SECONDS,
        )
    )


def redeem(
    conn: Connection,
    *,
    code_hash: bytes,
    client_id: str,
    redirect_uri: str | None,
    code_challenge: str,
    now: UnixTime,
) -> Grant | Reused | None:
    """Redeem a code for its grant.

    One statement, so that of two requests with the same code exactly one gets the grant
    (RFC 6749 §4.1.2). A second use ends the grant, whoever tries it: the code has leaked.
    What comes after that is told as unknown.
    None when it is unknown, expired, or not for this client, redirect URI and verifier,
    which uses nothing up. A `redirect_uri` that is not repeated is none (OAuth 2.1 §10.2).
    """
    mine = update(table).where(
        table.c.code_hash == code_hash,
        table.c.used_at.is_(None),
        table.c.expires_at > now,
        table.c.client_id == client_id,
        table.c.code_challenge == code_challenge,
    )
    if redirect_uri is not None:
        mine = mine.where(table.c.redirect_uri == redirect_uri)
    won = conn.execute(mine.values(used_at=now).returning(table.c.grant_id)).scalar()
    if won is not None:
        return grants.live(conn, str(won), now=now)
    used = conn.execute(
        select(table.c.grant_id).where(
            table.c.code_hash == code_hash, table.c.used_at.is_not(None)
        )
    ).scalar()
    if used is None:
        return None
    ended = grants.end(conn, str(used), reason="authorization code used twice", now=now)
    return Reused(str(used)) if ended else None


def grant_of(conn: Connection, *, code_hash: bytes, client_id: str) -> str | None:
    """Give the grant of a code of that client, used or not."""
    mine = (table.c.code_hash == code_hash, table.c.client_id == client_id)
    return conn.execute(select(table.c.grant_id).where(*mine)).scalar()


def is_usable(conn: Connection, *, code_hash: bytes, now: UnixTime) -> bool:
    """Tell whether a code can still be redeemed."""
    found = conn.execute(
        select(table.c.grant_id).where(
            table.c.code_hash == code_hash,
            table.c.used_at.is_(None),
            table.c.expires_at > now,
        )
    ).scalar()
    return found is not None
