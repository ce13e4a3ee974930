"""Refresh tokens: each is used once and gives its successor; only hashes are kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, update

from bascule.clock import UnixTime
from bascule.identity.confirmation import Confirmation
from bascule.storage import grants
from bascule.storage.codes import Reused
from bascule.storage.grants import Grant, written_cnf
from bascule.storage.schema import grants as grants_table
from bascule.storage.schema import refresh_tokens as table

IDLE_SECONDS = 12 * 3600
GRACE_SECONDS = 30
"""So long a client that lost the answer may ask again and gets the same successor."""

_NEW = insert(table)
_USE = (
    update(table)
    .where(
        table.c.token_hash == bindparam("shown"),
        table.c.used_at.is_(None),
        table.c.expires_at > bindparam("now"),
        exists().where(
            grants_table.c.id == table.c.grant_id,
            grants_table.c.client_id == bindparam("client"),
            grants_table.c.cnf.is_(None) | (grants_table.c.cnf == bindparam("held")),
        ),
    )
    .values(
        used_at=bindparam("now"),
        successor_hash=bindparam("successor"),
        sealed_successor=bindparam("sealed"),
    )
    .returning(table.c.grant_id)
)
_IS_SEALED = table.c.sealed_successor.is_not(None)
_DROP_SEALED = (
    update(table)
    .where(
        (_IS_SEALED & (table.c.used_at < bindparam("too_old")))
        | (_IS_SEALED & (table.c.successor_hash == bindparam("shown")))
    )
    .values(sealed_successor=None)
)
"""Drops sealed successors that are no longer given: too old, or used by now. Each half has
an index of its own."""
_ONE = (
    select(table, grants_table.c.client_id, grants_table.c.cnf)
    .join(grants_table, grants_table.c.id == table.c.grant_id)
    .where(table.c.token_hash == bindparam("shown"))
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """The successor that was handed in is the family's token now."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Retried:
    """The successor is the one of the first attempt, as it was sealed then."""

    grant: Grant
    sealed_successor: bytes = field(repr=False)


def add(conn: Connection, *, token_hash: bytes, grant: Grant, now: UnixTime) -> None:
    """Keep a token of a grant: 12 hours, never longer than the grant."""
    expires_at = min(now + IDLE_SECONDS, grant.expires_at)
    row = {"token_hash": token_hash, "grant_id": grant.id, "expires_at": expires_at}
    conn.execute(_NEW, row)


def rotate(
    conn: Connection,
    *,
    token_hash: bytes,
    client_id: str,
    successor_hash: bytes,
    sealed_successor: bytes,
    now: UnixTime,
    cnf: Confirmation | None = None,
) -> Rotated | Retried | Reused | None:
    """Use a token up and put its successor in its place.

    One statement decides who of two is first. A retry within 30 seconds, while the
    successor is unused, gets that successor; any other second use ends the family. None
    when the token is unknown, expired, another client's, bound to something else than
    `cnf`, or its grant no longer counts; that uses nothing up, and ends nothing.
    """
    held = written_cnf(cnf)
    values = {
        "shown": token_hash,
        "client": client_id,
        "held": held,
        "successor": successor_hash,
        "sealed": sealed_successor,
        "now": now,
    }
    won = conn.execute(_USE, values).scalar()
    if won is None:
        return _shown_again(conn, token_hash, client_id, held, now)
    conn.execute(_DROP_SEALED, {"shown": token_hash, "too_old": now - GRACE_SECONDS})
    grant = grants.live(conn, str(won), now=now)
    if grant is None:
        return None
    add(conn, token_hash=successor_hash, grant=grant, now=now)
    return Rotated(grant)


def take_back(conn: Connection, *, token_hash: bytes, successor_hash: bytes) -> None:
    """Undo a rotation whose successor nobody was given: the token is as good as before.

    Nothing happens when the successor was used meanwhile, by who asked at the same time.
    """
    dropped = conn.execute(
        delete(table)
        .where(table.c.token_hash == successor_hash, table.c.used_at.is_(None))
        .returning(table.c.grant_id)
    ).scalar()
    if dropped is not None:
        unused = {"used_at": None, "successor_hash": None, "sealed_successor": None}
        conn.execute(update(table).where(table.c.token_hash == token_hash).values(unused))


def _shown_again(
    conn: Connection,
    token_hash: bytes,
    client_id: str,
    held: str | None,
    now: UnixTime,
) -> Retried | Reused | None:
    row = _find(conn, token_hash)
    if row is None or row.client_id != client_id or row.used_at is None:
        return None
    if row.cnf not in {None, held}:
        return None
    grant = grants.live(conn, row.grant_id, now=now)
    if grant is None:
        return None
    successor = _find(conn, row.successor_hash)
    in_time = now <= row.used_at + GRACE_SECONDS and row.sealed_successor is not None
    if in_time and successor is not None and successor.used_at is None:
        return Retried(grant, row.sealed_successor)
    grants.end(conn, grant.id, reason="refresh token used twice", now=now)
    return Reused(grant.id)


def _find(conn: Connection, token_hash: bytes) -> Row[tuple[object, ...]] | None:
    return conn.execute(_ONE, {"shown": token_hash}).one_or_none()


def grant_of(conn: Connection, *, token_hash: bytes, client_id: str) -> str | None:
    """Give the grant that a client's token belongs to, used up or not."""
    row = _find(conn, token_hash)
    return None if row is None or row.client_id != client_id else str(row.grant_id)


def current(
    conn: Connection, *, token_hash: bytes, client_id: str, now: UnixTime
) -> tuple[Grant, UnixTime] | None:
    """Give the grant and the expiry of a token that a client may use now, else None."""
    row = _find(conn, token_hash)
    if row is None or row.client_id != client_id or row.used_at is not None:
        return None
    grant = grants.live(conn, row.grant_id, now=now)
    if grant is None or row.expires_at <= now:
        return None
    return grant, UnixTime(row.expires_at)
