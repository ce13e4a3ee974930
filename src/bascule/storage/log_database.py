"""The log's files as rows of PostgreSQL; who may write them has a lease and a fence.

The lease is one row. Whoever takes it raises its fence, and each write is a transaction
that renews the lease under that fence: it fails when another has taken over, however long
the writer slept before. The lease lapses by the database's clock alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, TextClause, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from bascule.audit.log_files import SequencerBusyError
from bascule.errors import BasculeError
from bascule.storage.postgres import PostgresStore
from bascule.storage.schema import log_files, log_lease

LEASE_SECONDS = 5
_NOW = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
_UNTIL = f"{_NOW} + {LEASE_SECONDS * 1000}"
_take = text(
    f"UPDATE log_lease SET fence = fence + 1, held_until = {_UNTIL}"  # noqa: S608
    f" WHERE held_until < {_NOW} RETURNING log, fence"
)
_renew = text(
    f"UPDATE log_lease SET held_until = {_UNTIL} WHERE fence = :fence RETURNING log"  # noqa: S608
)
_release = text("UPDATE log_lease SET held_until = 0 WHERE fence = :fence")
_next_log = text("UPDATE log_lease SET log = log + 1 WHERE fence = :fence RETURNING log")


class LogDatabaseError(OSError):
    """The database with the log cannot be used; for the log it is a disk that fails."""


class DatabaseFiles:
    """A log in the database, as one process sees it."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._fence: int | None = None

    def __str__(self) -> str:
        """Say where it is, for messages."""
        return "the database"

    def read(self, name: str) -> bytes:
        """Give a file's bytes. Raises FileNotFoundError, or another OSError."""
        current = select(log_lease.c.log).scalar_subquery()
        query = select(log_files.c.data)
        query = query.where(log_files.c.log == current, log_files.c.name == name)
        found = self._fetch(query)
        if not found:
            raise FileNotFoundError(name)
        return bytes(found[0][0])

    def names(self, folder: str) -> list[str]:
        """Give the last parts of the names below a folder; none without it."""
        current = select(log_lease.c.log).scalar_subquery()
        start, end = f"{folder}/", f"{folder}0"  # what sorts between: `0` comes after `/`
        name = log_files.c.name.collate("C")
        query = select(log_files.c.name).where(
            log_files.c.log == current, name >= start, name < end
        )
        parts = [row[0].removeprefix(start) for row in self._fetch(query)]
        return [it for it in parts if "/" not in it]

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Replace files, all in one transaction, while the lease is ours."""

        def work(conn: Connection) -> None:
            log = self._require_lease(conn)
            rows = [{"log": log, "name": name, "data": data} for name, data in files]
            for start in range(0, len(rows), _ROWS):
                put = insert(log_files).values(rows[start : start + _ROWS])
                conn.execute(
                    put.on_conflict_do_update(
                        index_elements=["log", "name"], set_={"data": put.excluded.data}
                    )
                )

        self._write(work)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that may be missing, while the lease is ours."""
        gone = list(names)
        if not gone:
            return

        def work(conn: Connection) -> None:
            log = self._require_lease(conn)
            these = (log_files.c.log == log, log_files.c.name.in_(gone))
            conn.execute(delete(log_files).where(*these))

        self._write(work)

    def take(self) -> None:
        """Take the lease if it has lapsed. Raises `SequencerBusyError` otherwise."""
        found = self._write(lambda conn: conn.execute(_take).one_or_none())
        if found is None:
            raise SequencerBusyError("another process writes this log")
        self._fence = found.fence

    def renew(self) -> None:
        """Stay the one who may write. Raises `SequencerBusyError`."""
        self._write(self._require_lease)

    def release(self) -> None:
        """Let another process take the lease at once."""
        if self._fence is not None:
            fence, self._fence = self._fence, None
            self._write(lambda conn: conn.execute(_release, {"fence": fence}))

    def put_aside(self, name: str) -> str:
        """Begin another log; the rows of this one stay. Gives what it is called."""
        del name  # here logs have numbers
        log = self._write(lambda conn: self._fenced(conn, _next_log))
        return f"log {log - 1} of the database"

    def _require_lease(self, conn: Connection) -> int:
        return self._fenced(conn, _renew)

    def _fenced(self, conn: Connection, statement: TextClause) -> int:
        """Run a statement that finds its row only under our fence; gives the log."""
        found = conn.execute(statement, {"fence": self._fence}).scalar()
        if found is None:
            raise SequencerBusyError("another sequencer has taken over this log")
        return int(found)

    def _write(self, work: Any) -> Any:
        try:
            return self._store.commit(work)
        except SequencerBusyError:
            raise
        except BasculeError as exc:
            raise LogDatabaseError(str(exc)) from exc

    def _fetch(self, query: Executable) -> list[Any]:
        try:
            return self._store.fetch(query)
        except BasculeError as exc:
            raise LogDatabaseError(str(exc)) from exc


_ROWS = 200
"""Of one statement."""
