"""The first administrator's link: good while nobody administers the server."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from bascule.clock import UnixTime
from bascule.storage import users
from bascule.storage.schema import first_admin_links
from bascule.storage.schema import users as users_table


def offer(
    conn: Connection,
    *,
    token_hash: bytes,
    expires_at: UnixTime,
    now: UnixTime,
    beside_others: bool,
) -> bool:
    """Make a link good; False when there is an administrator.

    Earlier links end, unless other servers on the same database may have made them.
    """
    ending = delete(first_admin_links)
    if beside_others:
        ending = ending.where(first_admin_links.c.expires_at <= now)
    conn.execute(ending)
    if users.admin_exists(conn):
        return False
    row = {"token_hash": token_hash, "expires_at": expires_at}
    conn.execute(insert(first_admin_links).values(row))
    return True


def is_good(conn: Connection, *, token_hash: bytes, now: UnixTime) -> bool:
    """Tell whether a link is good."""
    query = select(first_admin_links.c.token_hash).where(_is_good(token_hash, now))
    return conn.execute(query).scalar() is not None


def spend(conn: Connection, *, token_hash: bytes, now: UnixTime) -> bool:
    """Use a link up; False when it is not good.

    One statement, so that of two who use it at once one alone does.
    """
    spent = conn.execute(
        delete(first_admin_links)
        .where(_is_good(token_hash, now))
        .returning(first_admin_links.c.token_hash)
    ).scalar()
    return spent is not None


def _is_good(token_hash: bytes, now: UnixTime) -> ColumnElement[bool]:
    return and_(
        first_admin_links.c.token_hash == token_hash,
        first_admin_links.c.expires_at > now,
        ~select(users_table.c.name).where(users_table.c.is_admin).exists(),
    )
