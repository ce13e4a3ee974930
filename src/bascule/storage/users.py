"""Local users: who they are, which groups they are in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, insert, select, true, update

from bascule.clock import UnixTime
from bascule.storage import browser_sessions, counters, passkeys, passwords, revocations
from bascule.storage.enabled import ENABLED
from bascule.storage.schema import user_groups, users

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


def is_name(text: str) -> bool:
    """Tell whether a user or group can have that name."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class User:
    """One local user."""

    name: str
    groups: tuple[str, ...]
    is_admin: bool
    disabled: bool
    """By an administrator, or because provisioning ended it."""


def add(
    conn: Connection,
    *,
    name: str,
    groups: Iterable[str],
    is_admin: bool,
    setup_hash: bytes | None,
    setup_expires_at: UnixTime | None,
    now: UnixTime,
) -> bool:
    """Add a user; False when there is one of that name.

    Without a set-up link it is being set up in the same transaction.
    """
    if get(conn, name) is not None:
        return False
    conn.execute(
        insert(users).values(
            name=name,
            created_at=now,
            is_admin=is_admin,
            setup_hash=setup_hash,
            setup_expires_at=setup_expires_at,
        )
    )
    rows = [{"user_name": name, "group_name": group} for group in sorted(set(groups))]
    if rows:
        conn.execute(insert(user_groups), rows)
    counters.advance(conn, "generation")
    return True


def get(conn: Connection, name: str) -> User | None:
    """Give one user."""
    return next(iter(_found(conn, users.c.name == name)), None)


def every(conn: Connection) -> list[User]:
    """Give all users, by name."""
    return _found(conn, true())


def _found(conn: Connection, condition: ColumnElement[bool]) -> list[User]:
    memberships = (
        select(user_groups)
        .join(users, users.c.name == user_groups.c.user_name)
        .where(condition)
        .order_by(user_groups.c.group_name)
    )
    groups: dict[str, list[str]] = {}
    for row in conn.execute(memberships):
        groups.setdefault(row.user_name, []).append(row.group_name)
    found = select(users, ENABLED.label("enabled")).where(condition).order_by(users.c.name)
    return [
        User(
            name=row.name,
            groups=tuple(groups.get(row.name, ())),
            is_admin=row.is_admin,
            disabled=not row.enabled,
        )
        for row in conn.execute(found)
    ]


def admin_exists(conn: Connection) -> bool:
    """Tell whether there is an administrator, set up or not."""
    found = conn.execute(select(users.c.name).where(users.c.is_admin).limit(1)).scalar()
    return found is not None


def disable(conn: Connection, *, name: str, now: UnixTime) -> None:
    """Disable one and revoke all that was issued for it: enabling brings none back."""
    conn.execute(update(users).where(users.c.name == name).values(disabled_at=now))
    revocations.revoke(
        conn, kind="user", key=f"user:{name}", reason="user disabled", now=now
    )


def enable(conn: Connection, *, name: str) -> None:
    """Let one in again; what was issued before stays revoked."""
    conn.execute(update(users).where(users.c.name == name).values(disabled_at=None))
    counters.advance(conn, "generation")


def reset(
    conn: Connection, *, name: str, setup_hash: bytes, setup_expires_at: UnixTime
) -> bool:
    """Give a user a new set-up link; False without such a user.

    The old link ends, and so do its password, passkeys and sessions: somebody else may have
    them. Tokens do not; they are revoked by themselves.
    """
    changed = conn.execute(
        update(users)
        .where(users.c.name == name)
        .values(setup_hash=setup_hash, setup_expires_at=setup_expires_at)
        .returning(users.c.name)
    ).scalar()
    if changed is None:
        return False
    passwords.remove(conn, name=name)
    passkeys.remove_all(conn, name=name)
    browser_sessions.end_all(conn, name=name)
    return True


def _is_good(setup_hash: bytes, now: UnixTime) -> ColumnElement[bool]:
    return and_(
        users.c.setup_hash == setup_hash,
        users.c.setup_expires_at > now,
        users.c.disabled_at.is_(None),
    )


def of_setup_link(conn: Connection, *, setup_hash: bytes, now: UnixTime) -> str | None:
    """Give whose set-up link it is; None when it is not good, or no longer."""
    query = select(users.c.name).where(_is_good(setup_hash, now))
    return conn.execute(query).scalar()


def spend_setup_link(
    conn: Connection, *, setup_hash: bytes, name: str, now: UnixTime
) -> bool:
    """Use a user's set-up link up; False when it is not good.

    One statement, so that of two who use it at once one alone does.
    """
    spent = conn.execute(
        update(users)
        .where(_is_good(setup_hash, now), users.c.name == name)
        .values(setup_hash=None, setup_expires_at=None)
        .returning(users.c.name)
    ).scalar()
    return spent is not None
