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


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key, encrypted."""

    key_id: str
    """Of the key-encryption key."""
    wrapped: bytes = field(repr=False)


def wrapped_key(conn: Connection, owner: str) -> WrappedKey | None:
    """Give an owner's data key; None when there is none, or no longer."""
    row = conn.execute(select(keys).where(keys.c.owner == owner)).one_or_none()
    return None if row is None else WrappedKey(row.key_id, row.wrapped)


def keep_key(conn: Connection, owner: str, key: WrappedKey, *, now: UnixTime) -> None:
    """Keep a data key of an owner, in place of the one before."""
    values = {"key_id": key.key_id, "wrapped": key.wrapped, "created_at": now}
    same = keys.c.owner == owner
    if conn.execute(update(keys).where(same).values(values)).rowcount == 0:
        conn.execute(insert(keys).values(owner=owner, **values))


def owners(conn: Connection) -> list[str]:
    """Give all who have a data key."""
    return list(conn.execute(select(keys.c.owner).order_by(keys.c.owner)).scalars())


def key_ids(conn: Connection) -> set[str]:
    """Give the key-encryption keys that are needed to read what is there."""
    return set(conn.execute(select(keys.c.key_id).distinct()).scalars())


def names(conn: Connection, owner: str) -> list[str]:
    """Give the names of an owner's secrets."""
    query = select(entries.c.name).where(entries.c.owner == owner)
    return list(conn.execute(query.order_by(entries.c.name)).scalars())


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
