"""The state database: transactions are functions of a connection."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError

from bascule.errors import BasculeError

T = TypeVar("T")
Transaction = Connection
"""A transaction under way, for those who hand it from query to query."""
Work = Callable[[Transaction], T]
"""A transaction."""
BUSY_SECONDS = 2.0
"""How long one attempt waits for other writers."""
ATTEMPTS = 5
_OUR_BUGS = (DataError, IntegrityError, ProgrammingError)


class StateUnavailableError(BasculeError):
    """The state database cannot be used at the moment."""


class Store:
    """Runs transactions, one writer at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def read(self, work: Work[T]) -> T:
        """Do `work`, which only reads, on one consistent view; writers are not held up.

        Raises `StateUnavailableError`.
        """
        try:
            with self.engine.connect().execution_options(reads_only=True) as connection:
                return work(connection)
        except _OUR_BUGS:
            raise
        except DatabaseError as exc:
            raise _unavailable(exc) from exc

    def run(self, work: Work[T]) -> T:
        """Do `work` in one transaction: all of it is durable on return, or none.

        A transaction that lost against another is done again, so `work` must have no effect
        but on its connection. Raises `StateUnavailableError`.
        """
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except _OUR_BUGS:
                raise
            except DatabaseError as exc:
                if not (attempts_left and _lost_race(exc)):
                    raise _unavailable(exc) from exc
        raise AssertionError("unreachable")

    async def look(self, work: Work[T]) -> T:
        """Do `read` in a worker thread."""
        return await asyncio.to_thread(self.read, work)

    async def transact(self, work: Work[T]) -> T:
        """Do `run` in a worker thread."""
        return await asyncio.to_thread(self.run, work)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_store(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> Store:
    """Open the SQLite database at `path`, 0600 and created when missing, not yet migrated.

    Raises `StateUnavailableError`.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "rb") as file:
            os.fchmod(file.fileno(), 0o600)
    except OSError as exc:
        raise StateUnavailableError(f"cannot open `{path}`: {exc.strerror}") from exc
    # Not as a URL's text, where a `?` in the path would begin its options.
    engine = create_engine(URL.create("sqlite", database=str(path)))

    def prepare(connection: Any, _: object) -> None:
        _prepare(connection, busy_seconds)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return Store(engine)


def _prepare(connection: Any, busy_seconds: float) -> None:
    """Set what holds for a connection.

    The driver's own transactions are switched off: it would begin them late, after the
    first read, and a write after that could fail for being late.
    """
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(busy_seconds * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _lost_race(exc: DatabaseError) -> bool:
    """Tell whether the same transaction may succeed when it is done again."""
    code = getattr(exc.orig, "sqlite_errorcode", 0)
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _unavailable(exc: DatabaseError) -> StateUnavailableError:
    return StateUnavailableError(f"the state database is not available: {exc.orig}")
