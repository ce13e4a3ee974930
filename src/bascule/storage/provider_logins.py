"""Logins that are under way at an identity provider.

A row holds no secret in the clear: what the answer is checked with is encrypted under the
state, of which it has only the hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select

from bascule.clock import UnixTime
from bascule.storage.schema import provider_logins as table

LIFETIME_SECONDS = 600
MAX_WAITING = 20_000
"""Logins that are under way at once; a further one ends the oldest, so that nobody who only
begins logins fills the disk."""


@dataclass(frozen=True, slots=True)
class ProviderLogin:
    """One login, as it was begun."""

    provider: str
    """Name in the configuration."""
    browser_hash: bytes
    """Of the cookie of the browser that began it."""
    next: str
    """Where on this site it leads afterwards; empty for nowhere in particular."""
    sealed: bytes = field(repr=False)
    """What the answer is checked with."""


def begin(
    conn: Connection, login: ProviderLogin, *, state_hash: bytes, now: UnixTime
) -> None:
    """Keep a login until it is answered, for ten minutes; old ones go at the same time."""
    beyond = (
        select(table.c.expires_at)
        .order_by(table.c.expires_at.desc())
        .offset(MAX_WAITING - 1)
        .limit(1)
        .scalar_subquery()
    )
    over = (table.c.expires_at <= now) | (table.c.expires_at <= beyond)
    conn.execute(delete(table).where(over))
    conn.execute(
        insert(table).values(
            state_hash=state_hash,
            provider=login.provider,
            browser_hash=login.browser_hash,
            next=login.next,
            sealed=login.sealed,
            expires_at=now + LIFETIME_SECONDS,
        )
    )


def take(
    conn: Connection,
    *,
    state_hash: bytes,
    provider: str,
    browser_hash: bytes,
    now: UnixTime,
) -> ProviderLogin | None:
    """Give a login and forget it, so that its state counts once.

    None when there is none that waits for that provider, in that browser. One statement:
    of two answers at once one alone finds it. An answer in another browser, or at the
    address of another provider, leaves it as it is.
    """
    row = conn.execute(
        delete(table)
        .where(
            table.c.state_hash == state_hash,
            table.c.provider == provider,
            table.c.browser_hash == browser_hash,
            table.c.expires_at > now,
        )
        .returning(table.c.next, table.c.sealed)
    ).first()
    if row is None:
        return None
    return ProviderLogin(provider, browser_hash, row.next, row.sealed)
