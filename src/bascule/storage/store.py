"""The state database: transactions are functions of a connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from bascule.errors import BasculeError

T = TypeVar("T")
Work = Callable[[Connection], T]
"""A transaction."""
BUSY_SECONDS = 10
ATTEMPTS = 5


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
        except OperationalError as exc:
            raise StateUnavailableError("the state database is not available") from exc

    def run(self, work: Work[T]) -> T:
        """Do `work` in one transaction: all of it is durable on return, or none.

        A transaction that lost against another is done again, so `work` must have no effect
        but on its connection. Raises `StateUnavailableError`.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except OperationalError as exc:
                if attempt + 1 == ATTEMPTS:
                    raise StateUnavailableError(
                        "the state database is not available"
                    ) from exc
        raise AssertionError("unreachable")

    async def transact(self, work: Work[T]) -> T:
        """Do the same in a worker thread."""
        return await asyncio.to_thread(self.run, work)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_store(path: Path) -> Store:
    """Open the SQLite database at `path`, created 0600 when missing, not yet migrated."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return Store(engine)


def _prepare(connection: Any, _: object) -> None:
    """Set what holds for a connection.

    The driver's own transactions are switched off: it would begin them late, after the
    first read, and a write after that could fail for being late.
    """
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")


def _begin(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
