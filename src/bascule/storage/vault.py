"""The vault's rows: wrapped data keys by owner, sealed secrets by owner and name."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from bascule.clock import UnixTime
from bascule.storage.schema import vault_entries as entries
from bascule.storage.schema import vault_keys as keys


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """One secret as it lies there."""

    version: int
    sealed: bytes = field(repr=False)


def wrapped_key(conn: Connection, owner: str) -> bytes | None:
    """Give an owner's data key, encrypted; None when there is none, or no longer."""
    return conn.execute(select(keys.c.wrapped).where(keys.c.owner == owner)).scalar()


def keep_key(conn: Connection, owner: str, wrapped: bytes, *, now: UnixTime) -> None:
    """Keep the first data key of an owner."""
    conn.execute(insert(keys).values(owner=owner, wrapped=wrapped, created_at=now))


def entry(conn: Connection, owner: str, name: str) -> SealedEntry | None:
    """Give a secret; None when there is none."""
    query = select(entries).where(entries.c.owner == owner, entries.c.name == name)
    row = conn.execute(query).one_or_none()
    return None if row is None else SealedEntry(row.version, row.sealed)


def put(conn: Connection, owner: str, name: str, fresh: SealedEntry) -> None:
    """Keep a secret in place of the version before it."""
    same = (entries.c.owner == owner, entries.c.name == name)
    values = {"version": fresh.version, "sealed": fresh.sealed}
    if conn.execute(update(entries).where(*same).values(values)).rowcount == 0:
        conn.execute(insert(entries).values(owner=owner, name=name, **values))


def remove(conn: Connection, owner: str, name: str) -> None:
    """Remove a secret; there may be none."""
    same = (entries.c.owner == owner, entries.c.name == name)
    conn.execute(delete(entries).where(*same))


def remove_owner(conn: Connection, owner: str) -> None:
    """Remove an owner's data key, without which nothing of theirs can be read, and all."""
    conn.execute(delete(keys).where(keys.c.owner == owner))
    conn.execute(delete(entries).where(entries.c.owner == owner))
