"""Sessions of browsers: kept as a hash of their token, looked up at each use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Row, and_, delete, insert, literal, or_, select

from bascule.clock import UnixTime
from bascule.storage import issue_numbers
from bascule.storage.enabled import ENABLED
from bascule.storage.schema import browser_sessions, revocations, users

Audience = Literal["public", "admin"]
"""The listener that a session is for; it is never valid on the other."""
Method = Literal["password", "passkey", "provider"]

MAX_OF_USER = 50
"""Sessions of one user on one listener; a further one ends the oldest."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Somebody signed in, in one browser."""

    number: int
    """Issue number; also the session's name in pages, for it is no secret."""
    name: str
    method: Method
    source: str
    """Network address that it began from."""
    created_at: UnixTime
    expires_at: UnixTime

    @property
    def user(self) -> str:
        """The user as everywhere else: `user:NAME`."""
        return f"user:{self.name}"


_table = browser_sessions.c
_in_force = and_(
    users.c.name == _table.user_name,
    ENABLED,
    ~select(revocations.c.kind)
    .where(
        or_(
            revocations.c.kind == "all",
            and_(
                revocations.c.kind == "user",
                revocations.c.key == literal("user:").concat(_table.user_name),
            ),
        ),
        revocations.c.up_to >= _table.number,
    )
    .exists(),
)


def begin(
    conn: Connection,
    *,
    token_hash: bytes,
    replaces: bytes,
    name: str,
    audience: Audience,
    method: Method,
    source: str,
    now: UnixTime,
    expires_at: UnixTime,
) -> int | None:
    """Begin a session in place of the one with the hash `replaces`; gives its number.

    None when the user is not enabled, looked up in the same transaction. Rows of expired
    sessions go at the same time.
    """
    end(conn, token_hash=replaces)
    enabled = select(users.c.name).where(users.c.name == name, ENABLED)
    if conn.execute(enabled).scalar() is None:
        return None
    number = issue_numbers.take(conn, now=now)
    conn.execute(delete(browser_sessions).where(_table.expires_at <= now))
    conn.execute(
        insert(browser_sessions).values(
            token_hash=token_hash,
            number=number,
            user_name=name,
            audience=audience,
            method=method,
            source=source,
            created_at=now,
            expires_at=expires_at,
        )
    )
    _end_beyond_limit(conn, name, audience)
    return number


def _end_beyond_limit(conn: Connection, name: str, audience: Audience) -> None:
    of_user = and_(_table.user_name == name, _table.audience == audience)
    newest = (
        select(_table.number)
        .where(of_user)
        .order_by(_table.number.desc())
        .limit(MAX_OF_USER)
    )
    conn.execute(delete(browser_sessions).where(of_user, _table.number.not_in(newest)))


def find(
    conn: Connection, *, token_hash: bytes, audience: Audience, now: UnixTime
) -> BrowserSession | None:
    """Give a session that is in force: not expired, not revoked, its user enabled."""
    row = conn.execute(
        select(browser_sessions).where(
            _table.token_hash == token_hash,
            _table.audience == audience,
            _table.expires_at > now,
            _in_force,
        )
    ).first()
    return None if row is None else _session(row)


def is_in_force(conn: Connection, *, number: int, now: UnixTime) -> bool:
    """Tell whether a session still counts: for what is begun in it, in one transaction."""
    counts = select(_table.number).where(
        _table.number == number, _table.expires_at > now, _in_force
    )
    return conn.execute(counts).first() is not None


def of_user(
    conn: Connection, *, name: str, audience: Audience, now: UnixTime
) -> list[BrowserSession]:
    """Give a user's sessions that are in force, newest first."""
    rows = conn.execute(
        select(browser_sessions)
        .where(
            _table.user_name == name,
            _table.audience == audience,
            _table.expires_at > now,
            _in_force,
        )
        .order_by(_table.number.desc())
    )
    return [_session(row) for row in rows]


def end(conn: Connection, *, token_hash: bytes) -> None:
    """End a session."""
    conn.execute(delete(browser_sessions).where(_table.token_hash == token_hash))


def end_numbered(conn: Connection, *, name: str, number: int) -> bool:
    """End one of a user's sessions; False when it has no such one."""
    ended = conn.execute(
        delete(browser_sessions)
        .where(_table.user_name == name, _table.number == number)
        .returning(_table.number)
    ).scalar()
    return ended is not None


def end_all(conn: Connection, *, name: str, but: int | None = None) -> None:
    """End all sessions of a user on every listener, but for the one with that number."""
    ending = delete(browser_sessions).where(_table.user_name == name)
    conn.execute(ending if but is None else ending.where(_table.number != but))


def _session(row: Row[tuple[object, ...]]) -> BrowserSession:
    found = row._mapping
    return BrowserSession(
        number=found["number"],
        name=found["user_name"],
        method=found["method"],
        source=found["source"],
        created_at=UnixTime(found["created_at"]),
        expires_at=UnixTime(found["expires_at"]),
    )
