"""The data directory's parts, opened: state database, log, keys."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from msgspec import UNSET

from bascule.app.files import key_file, lock_data_directory
from bascule.audit.log import (
    LogKeys,
    append_command_record,
    log_keys,
    settle,
)
from bascule.audit.record import RECORD_VERSION, AgentPart, Record, UserPart
from bascule.clock import new_id, system_clock, system_entropy, system_micros
from bascule.errors import BasculeError
from bascule.gateway.handles import KEY_BYTES
from bascule.storage import directory, high_water
from bascule.storage.inbox import SqliteInbox
from bascule.storage.migrate import require_current
from bascule.storage.revocations import distrust_restored
from bascule.storage.store import StateUnavailableError, Store, open_store


def open_unchecked(data_dir: Path) -> Store:
    """Open the state database whatever its version."""
    return open_store(data_dir / "state.db")


def open_state(data_dir: Path) -> Store:
    """Open the state database, made when missing. Raises `SchemaVersionError`.

    A database that was restored from an older copy trusts nothing that was issued before.
    """
    store = open_unchecked(data_dir)
    require_current(store)
    mark = data_dir / "keys" / "generation"
    known = high_water.read(mark)
    if known > store.read(directory.generation):
        store.run(partial(distrust_restored, known_generation=known, now=system_clock()))
        note_change(data_dir, store)
    return store


def file_of_state(data_dir: Path) -> tuple[int, int]:
    """Give what tells the state database's file from another under its name.

    An open database goes on to read a file that was removed or replaced, and would never
    see what is revoked in the new one. Raises `StateUnavailableError`.
    """
    try:
        info = (data_dir / "state.db").stat()
    except OSError as exc:
        raise StateUnavailableError("the state database is gone") from exc
    return info.st_dev, info.st_ino


def note_change(data_dir: Path, store: Store) -> None:
    """Remember that the directory has changed; after each change."""
    mark = data_dir / "keys" / "generation"
    high_water.raise_to(mark, store.read(directory.generation))


def open_inbox(data_dir: Path) -> SqliteInbox:
    """Open the log's inbox. Raises `LogUnavailableError`."""
    return SqliteInbox(data_dir / "audit" / "inbox.db")


def keys_of_log(data_dir: Path) -> LogKeys:
    """Read the log's keys, made when missing."""
    return log_keys(data_dir, key_file, system_entropy)


def sealing_key(data_dir: Path) -> bytes:
    """Read the key that seals handles, made when missing. Raises `BasculeError`."""
    path = data_dir / "keys" / "handles.key"
    key = key_file(path, system_entropy(KEY_BYTES))
    if len(key) != KEY_BYTES:
        raise BasculeError(f"`{path}` is no key: remove it, and a new one is made")
    return key


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[int]:
    """Hold the data directory for this process, by the descriptor that is given.

    Raises `AlreadyRunningError`.
    """
    descriptor = lock_data_directory(data_dir)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def record_admin(
    data_dir: Path,
    type: str,
    admin: dict[str, str],
    *,
    user: str | None,
    agent: str | None,
    connector: str | None,
) -> None:
    """Write one administrative record: durable on return. Raises `LogUnavailableError`."""

    def make(origin: str, writer: str, boot: str) -> Record:
        now = system_micros()
        return Record(
            admin=admin,
            agent=UNSET if agent is None else AgentPart(client_id=agent, verified=True),
            boot=boot,
            connector=connector or UNSET,
            id=new_id(now),
            log=origin,
            stage="event",
            ts=now,
            type=type,
            user=UNSET if user is None else UserPart(sub=user.removeprefix("user:")),
            v=RECORD_VERSION,
            writer=writer,
        )

    inbox = open_inbox(data_dir)
    try:
        keys = keys_of_log(data_dir)
        append_command_record(data_dir, inbox, keys, system_entropy, make)
        settle(data_dir, inbox, keys)
    finally:
        inbox.close()
