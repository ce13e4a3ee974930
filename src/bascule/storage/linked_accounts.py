"""Accounts of users at upstreams: which there are, and who refreshes their tokens.

The tokens themselves lie in the vault, under the account's id. A new token is written by
compare-and-set on `version`, so that of several processes that refreshed the same one, one
wins and nothing newer is overwritten; the lease only keeps the others from trying.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import counters, retries
from bascule.storage.named import named
from bascule.storage.schema import linked_accounts as table

LEASE_SECONDS = 30
"""How long one process may take to refresh: longer than any request of its own lasts."""
_ENDED = table.c.ended_at.is_not(None)


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """One account."""

    id: str
    """128 random bits in hex."""
    user: str
    """`user:…`."""
    connector: str
    resource: str
    """The upstream's address for which the tokens are; they are sent nowhere else."""
    issuer: str
    """Of the authorization server, which alone sees the refresh token."""
    scope: tuple[str, ...]
    """What was asked for, over all steps."""
    version: int
    expires_at: UnixTime
    """Of the access token; 0 when the server did not say."""
    linked_at: UnixTime
    refreshed_at: UnixTime
    ended_at: UnixTime | None = None
    end_reason: str | None = None
    tries: int = 0
    """To revoke it at the upstream."""

    def is_at(self, resource: str, issuer: str) -> bool:
        """Tell whether its tokens are for that upstream, and of that issuer."""
        return self.resource == resource and self.issuer == issuer


def add(conn: Connection, account: LinkedAccount) -> str | None:
    """Keep a new one in place of what its user had for that connector.

    Gives the id of what it replaces, whose tokens are to be forgotten, not revoked: many
    servers would revoke the new ones with them. One that is elsewhere ends instead.
    """
    old = live(conn, account.user, account.connector)
    if old is not None and not old.is_at(account.resource, account.issuer):
        end(conn, old.id, reason="connected elsewhere", now=account.linked_at)
        old = None
    if old is not None:
        conn.execute(delete(table).where(table.c.id == old.id))
    conn.execute(
        insert(table).values(
            id=account.id,
            user_name=account.user,
            connector=account.connector,
            resource=account.resource,
            issuer=account.issuer,
            scope=" ".join(account.scope),
            version=account.version,
            expires_at=account.expires_at,
            linked_at=account.linked_at,
            refreshed_at=account.refreshed_at,
            lease_until=0,
            tries=0,
            next_try_at=0,
        )
    )
    _note_change(conn)
    return None if old is None else old.id


def live(conn: Connection, user: str, connector: str) -> LinkedAccount | None:
    """Give the one that a user has for a connector."""
    query = select(table).where(
        table.c.user_name == user,
        table.c.connector == connector,
        table.c.ended_at.is_(None),
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else _read(row)


def find(conn: Connection, account_id: str) -> LinkedAccount | None:
    """Give one by its id, ended or not."""
    row = conn.execute(select(table).where(table.c.id == account_id)).one_or_none()
    return None if row is None else _read(row)


def of_user(conn: Connection, user: str) -> list[LinkedAccount]:
    """Give all that a user has, by connector."""
    query = select(table).where(table.c.user_name == user, table.c.ended_at.is_(None))
    return [_read(row) for row in conn.execute(query.order_by(table.c.connector))]


def lease(conn: Connection, account_id: str, *, version: int, now: UnixTime) -> bool:
    """Take the turn to refresh that version; False while another process has it."""
    won = conn.execute(
        update(table)
        .where(_is(account_id, version), table.c.lease_until <= now)
        .values(lease_until=now + LEASE_SECONDS)
        .returning(table.c.id)
    )
    return won.first() is not None


def release(conn: Connection, account_id: str, *, version: int) -> None:
    """Give the turn back after an attempt that brought nothing."""
    conn.execute(update(table).where(_is(account_id, version)).values(lease_until=0))


def refreshed(
    conn: Connection,
    account_id: str,
    *,
    version: int,
    expires_at: UnixTime,
    now: UnixTime,
) -> bool:
    """Note that a version has a successor; False when it had one, or the account ended."""
    won = conn.execute(
        update(table)
        .where(_is(account_id, version))
        .values(version=version + 1, expires_at=expires_at, refreshed_at=now, lease_until=0)
        .returning(table.c.id)
    )
    return won.first() is not None


def end(
    conn: Connection,
    account_id: str,
    *,
    reason: str,
    now: UnixTime,
    version: int | None = None,
) -> bool:
    """End an account, if it still is at that version; False when it is not, or ended."""
    which = table.c.id == account_id
    return _end(conn, which if version is None else _is(account_id, version), reason, now)


def end_revoked(
    conn: Connection, *, kind: Kind, key: str, reason: str, now: UnixTime
) -> None:
    """End what a revocation names: a user's, a connector's, or all."""
    _end(conn, named(table, kind, key), reason, now)


def to_revoke(conn: Connection, *, now: UnixTime) -> list[LinkedAccount]:
    """Take ended accounts whose tokens are to be revoked upstream now; see `retries`."""
    return [_read(row) for row in retries.take(conn, table, now=now, among=_ENDED)]


def has_to_revoke(conn: Connection, *, now: UnixTime) -> bool:
    """Tell whether `to_revoke` would give something: one cheap query."""
    return retries.is_due(conn, table, now=now, among=_ENDED)


def forget(conn: Connection, account_id: str) -> None:
    """Remove an ended account for good."""
    conn.execute(
        delete(table).where(table.c.id == account_id, table.c.ended_at.is_not(None))
    )


def _is(account_id: str, version: int) -> ColumnElement[bool]:
    return and_(
        table.c.id == account_id, table.c.version == version, table.c.ended_at.is_(None)
    )


def _end(conn: Connection, which: ColumnElement[bool], reason: str, now: UnixTime) -> bool:
    ended = conn.execute(
        update(table)
        .where(which, table.c.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason, next_try_at=now)
        .returning(table.c.id)
    ).all()
    if ended:
        _note_change(conn)
    return bool(ended)


def _note_change(conn: Connection) -> None:
    """Tell those who keep what they have read."""
    counters.advance(conn, "generation")


def _read(row: Row[tuple[object, ...]]) -> LinkedAccount:
    return LinkedAccount(
        id=row.id,
        user=row.user_name,
        connector=row.connector,
        resource=row.resource,
        issuer=row.issuer,
        scope=tuple(row.scope.split()),
        version=row.version,
        expires_at=UnixTime(row.expires_at),
        linked_at=UnixTime(row.linked_at),
        refreshed_at=UnixTime(row.refreshed_at),
        ended_at=None if row.ended_at is None else UnixTime(row.ended_at),
        end_reason=row.end_reason,
        tries=row.tries,
    )
