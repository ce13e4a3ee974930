"""Authorization requests that wait for a user's decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.identity.authorization_details import Details
from bascule.storage.details import read, written
from bascule.storage.schema import authorization_requests as table

LIFETIME_SECONDS = 600
MAX_OF_SESSION = 20
"""Requests that wait in one browser session; a further one ends the oldest."""

Decision = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a client asks of a user, checked."""

    user: str
    """`user:NAME`: whom it asks."""
    client_id: str
    redirect_uri: str
    state: str | None
    code_challenge: str
    connector: str
    scope: str
    details: Details | None = None
    """The calls that it is for, and nothing else (RFC 9396)."""
    dpop_jkt: str | None = None
    """Thumbprint of the key whose holder alone may redeem the code (RFC 9449 §10)."""


@dataclass(frozen=True, slots=True)
class Found:
    """A request as it stands."""

    request: AuthorizationRequest
    decision: Decision | None
    sealed_code: bytes | None = field(repr=False)


def add(
    conn: Connection,
    request: AuthorizationRequest,
    *,
    id_hash: bytes,
    session: int,
    now: UnixTime,
) -> None:
    """Keep a request for one browser session; old ones go at the same time."""
    newest = (
        select(table.c.id_hash)
        .where(table.c.session_number == session)
        .order_by(table.c.expires_at.desc())
        .limit(MAX_OF_SESSION - 1)
        .scalar_subquery()
    )
    beyond = (table.c.session_number == session) & table.c.id_hash.not_in(newest)
    conn.execute(delete(table).where((table.c.expires_at <= now) | beyond))
    conn.execute(
        insert(table).values(
            id_hash=id_hash,
            session_number=session,
            user_name=request.user,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            state=request.state,
            code_challenge=request.code_challenge,
            connector=request.connector,
            scope=request.scope,
            authorization_details=written(request.details),
            dpop_jkt=request.dpop_jkt,
            expires_at=now + LIFETIME_SECONDS,
        )
    )


def find(conn: Connection, *, id_hash: bytes, session: int, now: UnixTime) -> Found | None:
    """Give a request of this browser session, else None."""
    row = conn.execute(
        select(table).where(
            table.c.id_hash == id_hash,
            table.c.session_number == session,
            table.c.expires_at > now,
        )
    ).one_or_none()
    if row is None:
        return None
    request = AuthorizationRequest(
        user=row.user_name,
        client_id=row.client_id,
        redirect_uri=row.redirect_uri,
        state=row.state,
        code_challenge=row.code_challenge,
        connector=row.connector,
        scope=row.scope,
        details=read(row.authorization_details),
        dpop_jkt=row.dpop_jkt,
    )
    return Found(request, row.decision, row.sealed_code)


def decide(
    conn: Connection, *, id_hash: bytes, decision: Decision, sealed_code: bytes | None
) -> bool:
    """Note a decision; False when there was one already. One statement, one winner."""
    won = conn.execute(
        update(table)
        .where(table.c.id_hash == id_hash, table.c.decision.is_(None))
        .values(decision=decision, sealed_code=sealed_code)
        .returning(table.c.id_hash)
    ).scalar()
    return won is not None
