"""Logins at identity providers that have ended: what is kept of them counts no more.

What a login left lies in the vault, under the provider's name. A row here ends it at once;
it lies there until it is revoked at the provider too.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    insert,
    literal,
    select,
    true,
)

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import retries
from bascule.storage.schema import browser_sessions, grants, vault_entries
from bascule.storage.schema import ended_logins as table

_ENTRIES = "provider/"


def entry_name(provider: str) -> str:
    """Give how the vault calls what logins at a provider leave; its owner is the user."""
    return f"{_ENTRIES}{provider}"


@dataclass(frozen=True, slots=True)
class EndedLogin:
    """One of them."""

    user: str
    """`user:ISSUER|SUB`."""
    provider: str
    """Its name in the configuration, at the login."""
    tries: int
    """To revoke it there."""


def end(conn: Connection, *, user: str, provider: str, now: UnixTime) -> None:
    """End what the vault has of a user's logins at one provider; it may have ended."""
    one = and_(vault_entries.c.owner == user, vault_entries.c.name == entry_name(provider))
    _end(conn, one, now)


def end_revoked(conn: Connection, *, kind: Kind, key: str, now: UnixTime) -> None:
    """End what a revocation names: a user's, or all."""
    if kind == "all":
        _end(conn, true(), now)
    elif kind == "user":
        _end(conn, vault_entries.c.owner == key, now)


def end_unused(conn: Connection, *, now: UnixTime, user: str | None = None) -> None:
    """End those on which nothing hangs: no grant, and no browser that is signed in.

    `user`: of one alone, `user:ISSUER|SUB`; None: of anybody.
    """
    granted = select(grants.c.user_name).where(
        grants.c.ended_at.is_(None), grants.c.expires_at > now
    )
    signed_in = select(literal("user:").concat(browser_sessions.c.user_name)).where(
        browser_sessions.c.expires_at > now
    )
    owner = vault_entries.c.owner
    whose: ColumnElement[bool] = true()
    if user is not None:
        whose = owner == user
        granted = granted.where(grants.c.user_name == user)
        name = user.removeprefix("user:")
        signed_in = signed_in.where(browser_sessions.c.user_name == name)
    _end(conn, and_(whose, owner.not_in(granted), owner.not_in(signed_in)), now)


def begin(conn: Connection, *, user: str, provider: str) -> None:
    """Note a new login, whose tokens take the place of those that ended."""
    conn.execute(delete(table).where(_is(user, provider)))


def has_ended(conn: Connection, *, user: str, provider: str) -> bool:
    """Tell whether what the vault has of a user's logins at a provider counts no more."""
    found = select(table.c.owner).where(_is(user, provider))
    return conn.execute(found).first() is not None


def has_to_revoke(conn: Connection, *, now: UnixTime) -> bool:
    """Tell whether `to_revoke` would give something: one cheap query."""
    return retries.is_due(conn, table, now=now)


def to_revoke(conn: Connection, *, now: UnixTime) -> list[EndedLogin]:
    """Take those that are to be revoked at the provider now, as `retries.take` does."""
    return [
        EndedLogin(row.owner, row.name.removeprefix(_ENTRIES), row.tries)
        for row in retries.take(conn, table, now=now)
    ]


def forget(conn: Connection, login: EndedLogin) -> bool:
    """Remove one for good; False where a new login has taken its place meanwhile."""
    gone = conn.execute(
        delete(table).where(_is(login.user, login.provider)).returning(table.c.owner)
    )
    return gone.first() is not None


def _is(user: str, provider: str) -> ColumnElement[bool]:
    return and_(table.c.owner == user, table.c.name == entry_name(provider))


def _end(conn: Connection, which: ColumnElement[bool], now: UnixTime) -> None:
    known = select(table.c.name).where(
        table.c.owner == vault_entries.c.owner, table.c.name == vault_entries.c.name
    )
    ending = select(
        vault_entries.c.owner, vault_entries.c.name, literal(0), literal(now)
    ).where(
        which,
        vault_entries.c.name.startswith(_ENTRIES, autoescape=True),
        ~known.exists(),
    )
    columns = ["owner", "name", "tries", "next_try_at"]
    conn.execute(insert(table).from_select(columns, ending))
