"""The state database: transactions are functions of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
    TimeoutError,
)

from bascule.errors import BasculeError
from bascule.storage.database_file import database_file
from bascule.storage.together import Together

T = TypeVar("T")
Transaction = Connection
"""A transaction under way, for those who hand it from query to query."""
Work = Callable[[Transaction], T]
"""A transaction."""
BUSY_SECONDS = 2.0
"""How long one attempt waits for other writers."""
ATTEMPTS = 20
PAUSE_SECONDS = 0.002
"""Between attempts; longer each time."""
_OUR_BUGS = (DataError, IntegrityError, ProgrammingError)
_LOST_RACES = {"40001", "40P01", "23505"}
"""SQLSTATEs of PostgreSQL: serialization failure, deadlock, and a row that another
transaction has inserted meanwhile."""
_NOT_ALLOWED = "42501"


class StateUnavailableError(BasculeError):
    """The state database cannot be used at the moment."""


class Store:
    """Runs transactions as if they came one after another."""

    def __init__(
        self,
        engine: Engine,
        *,
        reading: Mapping[str, Any],
        turn_seconds: float | None = None,
    ) -> None:
        """`reading`: execution options of what only reads.

        `turn_seconds`: for databases that let one write at a time and have the others
        poll: so long a writer waits for the others of this process before it polls too.
        """
        self.engine = engine
        self._reading = dict(reading)
        self._turn = threading.Lock()
        self._turn_seconds = turn_seconds
        self._reads = Together(self.read, writes=False)
        self._writes = Together(self.run, writes=True)

    def read(self, work: Work[T]) -> T:
        """Do `work`, which only reads, on one consistent view; writers are not held up.

        Raises `StateUnavailableError`.
        """
        try:
            with self.engine.connect().execution_options(**self._reading) as connection:
                return work(connection)
        except (DatabaseError, TimeoutError) as exc:
            fail(exc)

    def run(self, work: Work[T]) -> T:
        """Do `work` in one transaction: all of it is durable on return, or none.

        A transaction that lost against another is done again, so `work` must have no effect
        but on its connection. Raises `StateUnavailableError`.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self._in_turn(), self.engine.begin() as connection:
                    return work(connection)
            except (DatabaseError, TimeoutError) as exc:
                if attempt == ATTEMPTS - 1 or not _lost_race(exc):
                    fail(exc)
            time.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Let writers of this process go one after another, woken instead of polling."""
        if self._turn_seconds is None:
            yield
            return
        mine = self._turn.acquire(timeout=self._turn_seconds)
        try:
            yield
        finally:
            if mine:
                self._turn.release()

    def run_alone(self, work: Work[T]) -> T:
        """Do `work` in one transaction while no other such work is done, in any process.

        Raises `StateUnavailableError`.
        """
        return self.run(work)  # SQLite has one writer at a time

    async def look(self, work: Work[T]) -> T:
        """Do `read` in a worker thread."""
        return await asyncio.to_thread(self.read, work)

    async def transact(self, work: Work[T]) -> T:
        """Do `run` in a worker thread."""
        return await asyncio.to_thread(self.run, work)

    async def look_together(self, work: Work[T]) -> T:
        """Do `read`, on one view with all that is asked for meanwhile.

        For what is small and asked for often; see `Together`.
        """
        return await self._reads.do(work)

    async def transact_together(self, work: Work[T]) -> T:
        """Do `run`, in one transaction with all that is asked for meanwhile.

        For what is small and asked for often; see `Together`.
        """
        return await self._writes.do(work)

    def close(self) -> None:
        """Close all connections."""
        self._reads.close()
        self._writes.close()
        self.engine.dispose()


def open_store(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> Store:
    """Open the SQLite database at `path`, 0600 and created when missing, not yet migrated.

    Raises `StateUnavailableError`.
    """
    try:
        database_file(path)
    except OSError as exc:
        raise StateUnavailableError(f"cannot open `{path}`: {exc.strerror}") from exc
    # Not as a URL's text, where a `?` in the path would begin its options.
    # Values of a statement that fails stay out of the message, and so out of logs.
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, hide_parameters=True)

    def prepare(connection: Any, _: object) -> None:
        _prepare(connection, busy_seconds)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return Store(engine, reading={"reads_only": True}, turn_seconds=busy_seconds)


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


def _lost_race(exc: SQLAlchemyError) -> bool:
    """Tell whether the same transaction may succeed when it is done again."""
    orig = getattr(exc, "orig", None)
    code = getattr(orig, "sqlite_errorcode", 0)
    if code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return True
    return getattr(orig, "sqlstate", None) in _LOST_RACES


def fail(exc: SQLAlchemyError) -> NoReturn:
    """Raise our own bugs as they are, all else as a sentence without values."""
    orig = getattr(exc, "orig", exc)
    if isinstance(exc, _OUR_BUGS) and getattr(orig, "sqlstate", "") != _NOT_ALLOWED:
        raise exc
    why = str(orig).strip().partition("\n")[0]
    raise StateUnavailableError(f"the state database is not available: {why}") from exc
