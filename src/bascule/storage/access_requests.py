"""Asking for access grants, and deciding on them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, insert, update

from bascule.clock import UnixTime
from bascule.storage import access_grants, directory
from bascule.storage.access_grants import MAX_SECONDS, AccessGrant, Decision
from bascule.storage.schema import access_grants as table

REQUEST_SECONDS = 7 * 86_400
"""A request that nobody decides on is over by then."""
KEEP_SECONDS = 90 * 86_400
"""So long what is over can still be looked up; the log has it for ever."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for."""

    user: str | None
    agent: str | None
    connector: str
    entries: tuple[str, ...]
    seconds: int
    reason: str


def ask(
    conn: Connection, grant_id: str, wanted: Wanted, *, by: str, now: UnixTime
) -> AccessGrant | None:
    """Note a request; None when its user or agent is not enabled.

    What has been over for long is forgotten at the same time.
    """
    if not 0 < wanted.seconds <= MAX_SECONDS:
        raise ValueError(f"a grant is for 1 to {MAX_SECONDS} seconds")
    if not is_enabled(conn, wanted.user, wanted.agent):
        return None
    conn.execute(delete(table).where(table.c.expires_at < now - KEEP_SECONDS))
    asked = AccessGrant(
        id=grant_id,
        user=wanted.user,
        agent=wanted.agent,
        connector=wanted.connector,
        entries=wanted.entries,
        seconds=wanted.seconds,
        reason=wanted.reason,
        requested_by=by,
        requested_at=now,
        expires_at=UnixTime(now + REQUEST_SECONDS),
    )
    conn.execute(
        insert(table).values(
            id=asked.id,
            user_name=asked.user,
            client_id=asked.agent,
            connector=asked.connector,
            entries=msgspec.json.encode(asked.entries).decode(),
            seconds=asked.seconds,
            reason=asked.reason,
            requested_by=asked.requested_by,
            requested_at=asked.requested_at,
            expires_at=asked.expires_at,
        )
    )
    return asked


def decide(
    conn: Connection,
    grant_id: str,
    decision: Decision,
    *,
    seconds: int | None = None,
    by: str,
    reason: str,
    now: UnixTime,
) -> AccessGrant | None:
    """Decide on a request; None when none waits, or its user or agent is not enabled.

    One transaction, so of two decisions one counts. `seconds`: for less time than was asked
    for; never for more.
    """
    asked = access_grants.find(conn, grant_id)
    if asked is None or asked.state(now) != "requested":
        return None
    if decision == "grant" and not is_enabled(conn, asked.user, asked.agent):
        return None
    length = asked.seconds if seconds is None else min(seconds, asked.seconds)
    expires = UnixTime(now + length) if decision == "grant" else asked.expires_at
    conn.execute(
        update(table)
        .where(table.c.id == grant_id)
        .values(
            decision=decision,
            decided_by=by,
            decided_at=now,
            decision_reason=reason,
            seconds=length,
            expires_at=expires,
        )
    )
    access_grants.note_change(conn)
    return access_grants.find(conn, grant_id)


def is_enabled(conn: Connection, user: str | None, agent: str | None) -> bool:
    """Tell whether they may be granted something; foreign ones their issuer vouches for."""
    ours = None if user is None or "|" in user else user
    client = directory.BUILT_IN_AGENT if agent is None or "|" in agent else agent
    return directory.is_enabled(conn, user=ours, client_id=client)
