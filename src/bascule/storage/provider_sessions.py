"""Which session at an identity provider it was that something here began with.

By this a provider that tells of the end of a session there ends the right ones here (OpenID
Connect Back-Channel Logout §2.6): browser sessions, and the grants that were given in them.
Both are known by their issue numbers, which no two things share.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, delete, insert, literal, select, union_all

from bascule.clock import UnixTime
from bascule.storage import used_assertions
from bascule.storage.provider_logins import LIFETIME_SECONDS
from bascule.storage.schema import browser_sessions, grants
from bascule.storage.schema import provider_sessions as table


def remember(conn: Connection, *, number: int, user: str, provider: str, sid: str) -> None:
    """Note where a browser session came from.

    `user`: its name, without `user:`; `sid`: empty where the provider names no session.
    """
    conn.execute(
        insert(table).values(
            session_number=number, user_name=user, provider=provider, sid=sid
        )
    )


def forget_ended(conn: Connection) -> None:
    """Forget where browser sessions and grants came from that are no more.

    It looks at all that there are, so it is no work for a login.
    """
    alive = union_all(select(browser_sessions.c.number), select(grants.c.number))
    conn.execute(delete(table).where(table.c.session_number.not_in(alive)))


def follow(conn: Connection, *, grant: int, session: int) -> None:
    """Note that a grant was given in a browser session; nothing if none signed in there."""
    of_session = select(
        literal(grant), table.c.user_name, table.c.provider, table.c.sid
    ).where(table.c.session_number == session)
    names = ["session_number", "user_name", "provider", "sid"]
    conn.execute(insert(table).from_select(names, of_session))


def end(conn: Connection, *, provider: str, sid: str, now: UnixTime) -> None:
    """Note that a session there has ended, while a login may be under way in it."""
    used_assertions.use(
        conn,
        digest=_digest(provider, sid),
        expires_at=UnixTime(now + LIFETIME_SECONDS),
        now=now,
    )


def has_ended(conn: Connection, *, provider: str, sid: str) -> bool:
    """Tell whether a session there ended a short time ago; an empty `sid` names none."""
    digest = _digest(provider, sid)
    return bool(sid) and used_assertions.is_used(conn, digest=digest)


def _digest(provider: str, sid: str) -> bytes:
    return hashlib.sha256(f"ended session\0{provider}\0{sid}".encode()).digest()


def provider_of(conn: Connection, *, number: int) -> str | None:
    """Give the provider that a browser session began at; None when it began at none."""
    query = select(table.c.provider).where(table.c.session_number == number)
    return conn.execute(query).scalar()


def of_provider_session(
    conn: Connection, *, provider: str, sid: str
) -> list[tuple[str, int]]:
    """Give user and number of the browser sessions and grants that began with that one.

    An empty `sid` is nobody's.
    """
    if not sid:
        return []
    query = select(table.c.user_name, table.c.session_number).where(
        table.c.provider == provider, table.c.sid == sid
    )
    return [(row.user_name, row.session_number) for row in conn.execute(query)]
