"""Passwords of local users: their argon2id hashes, in PHC form."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import passwords, users


def hash_of(conn: Connection, *, name: str) -> str | None:
    """Give the hash of an enabled user's password; None when there is no such thing."""
    query = select(passwords.c.hash).join(users, users.c.name == passwords.c.user_name)
    return conn.execute(
        query.where(users.c.name == name, users.c.disabled_at.is_(None))
    ).scalar()


def replace(conn: Connection, *, name: str, hash_: str, now: UnixTime) -> None:
    """Give a user a password in place of the one it had."""
    values = {"hash": hash_, "changed_at": now}
    changed = conn.execute(
        update(passwords)
        .where(passwords.c.user_name == name)
        .values(values)
        .returning(passwords.c.user_name)
    ).scalar()
    if changed is None:
        conn.execute(insert(passwords).values(user_name=name, **values))


def remove(conn: Connection, *, name: str) -> None:
    """Take a user's password away."""
    conn.execute(delete(passwords).where(passwords.c.user_name == name))
