"""Link requests: a user is asked to connect an account of theirs at an upstream.

Each is for one user and one connector, is good for one attempt, and not for long. Only the
hash of its id is kept. Whoever holds the id can do nothing with it: the page that it leads
to wants a login as that very user.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage import issue_numbers, linked_accounts, revocations
from bascule.storage.schema import link_requests as table

LIFETIME_SECONDS = 600
"""From the request on, to the moment when the authorization server leads back."""
MAX_OPEN = 8
"""Of one user for one connector: each further one ends the oldest that nobody has begun."""
ID_BYTES = 32

State = Literal["open", "started", "returned", "linked", "failed", "over"]
"""`started`: the user was sent to the authorization server; `returned`: came back, once;
`over`: too late, or somebody it hangs on was revoked."""


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """One of them, as it stands."""

    id_hash: bytes
    user: str
    """`user:…`: who asked, and who alone may follow it."""
    agent: str
    """Through which agent; empty when the user asked without one."""
    connector: str
    scope: tuple[str, ...]
    """What the upstream wants for what was tried; empty when it did not say."""
    expires_at: UnixTime
    state: State
    flow: bytes | None = field(repr=False)
    """What was begun, encrypted; only while the user is away."""

    @property
    def is_waiting(self) -> bool:
        """Whether it may still lead to an account."""
        return self.state in {"open", "started", "returned"}


def digest(secret: str) -> bytes:
    """Give what is kept of an id, or of a `state`."""
    return hashlib.sha256(secret.encode()).digest()


def ask(
    conn: Connection,
    link_id: str,
    *,
    user: str,
    agent: str,
    connector: str,
    scope: tuple[str, ...],
    now: UnixTime,
) -> None:
    """Keep a new one; `link_id` has 256 random bits."""
    conn.execute(delete(table).where(table.c.expires_at <= now - LIFETIME_SECONDS))
    theirs = (table.c.user_name == user, table.c.connector == connector)
    waiting = (
        select(table.c.id_hash)
        .where(*theirs, table.c.state == "open")
        .order_by(table.c.number.desc())
        .offset(MAX_OPEN - 1)
    )
    surplus = conn.execute(waiting).scalars().all()
    conn.execute(delete(table).where(table.c.id_hash.in_(surplus)))
    conn.execute(
        insert(table).values(
            id_hash=digest(link_id),
            number=issue_numbers.take(conn, now=now),
            user_name=user,
            client_id=agent,
            connector=connector,
            scope=" ".join(scope),
            asked_at=now,
            expires_at=now + LIFETIME_SECONDS,
            state="open",
        )
    )


def find(conn: Connection, id_hash: bytes, *, now: UnixTime) -> LinkRequest | None:
    """Give one, whatever became of it; None when there is none, or no longer."""
    row = conn.execute(select(table).where(table.c.id_hash == id_hash)).one_or_none()
    return None if row is None else _read(conn, row, now)


def is_settled(
    conn: Connection, *, user: str, agent: str, connector: str, now: UnixTime
) -> bool:
    """Tell whether nothing is to be waited for: an account is newer than what was asked.

    Or what was asked last of that user, through that agent, is over.
    """
    query = (
        select(table)
        .where(
            table.c.user_name == user,
            table.c.client_id == agent,
            table.c.connector == connector,
        )
        .order_by(table.c.number.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    if row is None or not _read(conn, row, now).is_waiting:
        return True
    account = linked_accounts.live(conn, user, connector)
    return account is not None and account.linked_at >= row.asked_at


def was_left(conn: Connection, *, user: str, connector: str) -> bool:
    """Tell whether a user went to the authorization server lately and did not come back."""
    query = select(table.c.id_hash).where(
        table.c.user_name == user,
        table.c.connector == connector,
        table.c.state == "started",
    )
    return conn.execute(query.limit(1)).first() is not None


def start(
    conn: Connection, id_hash: bytes, *, state_hash: bytes, flow: bytes, now: UnixTime
) -> bool:
    """Note that its user goes to the authorization server; the last time counts.

    `flow`: what the way back needs, encrypted. False when there is no going any more.
    """
    found = find(conn, id_hash, now=now)
    if found is None or found.state not in {"open", "started"}:
        return False
    won = conn.execute(
        update(table)
        .where(table.c.id_hash == id_hash, table.c.state == found.state)
        .values(state="started", state_hash=state_hash, flow=flow)
        .returning(table.c.id_hash)
    )
    return won.first() is not None


def take(
    conn: Connection, state_hash: bytes, *, user: str, now: UnixTime
) -> LinkRequest | None:
    """Give the one whose user comes back with that `state`, once; None for anything else.

    Another user's is left as it is.
    """
    mine = (table.c.state_hash == state_hash, table.c.user_name == user)
    row = conn.execute(select(table).where(*mine)).one_or_none()
    found = None if row is None else _read(conn, row, now)
    if found is None or found.state != "started":
        return None
    won = conn.execute(
        update(table)
        .where(*mine, table.c.state == "started")
        .values(state="returned", state_hash=None, flow=None)
        .returning(table.c.id_hash)
    )
    return found if won.first() is not None else None


def finish(conn: Connection, id_hash: bytes, *, linked: bool, now: UnixTime) -> bool:
    """Note how an attempt ended; False when it was over before, and then it did not."""
    found = find(conn, id_hash, now=now)
    if found is None or found.state != "returned":
        return False
    state = "linked" if linked else "failed"
    conn.execute(update(table).where(table.c.id_hash == id_hash).values(state=state))
    return True


def _read(conn: Connection, row: Row[tuple[object, ...]], now: UnixTime) -> LinkRequest:
    lost = row.expires_at <= now or revocations.covers(
        conn,
        number=row.number,
        user=row.user_name,
        client_id=row.client_id,
        connector=row.connector,
        grant_id=None,
    )
    ended = row.state in {"linked", "failed"}
    return LinkRequest(
        id_hash=row.id_hash,
        user=row.user_name,
        agent=row.client_id,
        connector=row.connector,
        scope=tuple(row.scope.split()),
        expires_at=UnixTime(row.expires_at),
        state="over" if lost and not ended else row.state,
        flow=row.flow,
    )
