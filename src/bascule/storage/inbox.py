"""The inbox of the audit log in a SQLite file of its own."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bascule.audit.inbox import Segment
from bascule.audit.once import KEEP_SECONDS, Once
from bascule.audit.writer import LogUnavailableError
from bascule.clock import system_clock
from bascule.storage.database_file import database_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
    place INTEGER PRIMARY KEY,
    writer TEXT NOT NULL,
    boot TEXT NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    prev BLOB NOT NULL,
    head BLOB NOT NULL,
    leaves BLOB NOT NULL,
    openings BLOB NOT NULL
)
"""
"""Nothing but the table: an index, or a count of what was ever in it, would be another page
of each commit. That a segment is there once and none is missing is for its chain to say.
"""
_COLUMNS = "writer, boot, first, count, prev, head, leaves, openings"
_INSERT = f"INSERT INTO segments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_SELECT = f"SELECT place, {_COLUMNS} FROM segments WHERE place > ? ORDER BY place LIMIT ?"  # noqa: S608
_PROOFS = """
CREATE TABLE IF NOT EXISTS shown_once (
    since INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (since, digest)
) WITHOUT ROWID
"""
"""By time first: what comes together lies together, and so does what is forgotten."""
_CLAIM = "INSERT OR IGNORE INTO shown_once (since, digest) VALUES (?, ?)"
_FORGET = "DELETE FROM shown_once WHERE since < ?"
BUSY_SECONDS = 10
_PRAGMAS = (
    # Pages for a whole group commit: a commit of four-kilobyte pages costs half more.
    "PRAGMA page_size = 16384",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    # Debian's default overwrites what is deleted. All of it is in the log, and what is
    # secret there is encrypted here too.
    "PRAGMA secure_delete = OFF",
)
"""Each connection's; the size of pages is heeded where the file is new."""


class SqliteInbox:
    """An inbox in one file, which other processes of this host may write too."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, 0600. Raises `LogUnavailableError`."""
        self._lock = threading.Lock()
        try:
            database_file(path)
            # One connection for writing and one for reading: the sequencer must not make
            # calls wait for their records.
            self._writes = self._open(path)
            self._reads = self._open(path)
            self._writes.execute(_SCHEMA)
            self._writes.execute(_PROOFS)
        except (OSError, sqlite3.Error) as exc:
            raise LogUnavailableError(f"the log's inbox cannot be opened: {exc}") from exc

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        return connection

    def write(self, segment: Segment) -> None:
        """Keep a segment; one commit, synced. Raises `sqlite3.Error`."""
        with self._lock:
            self._insert(segment)

    def claim(self, onces: Sequence[Once], segment: Callable[[], Segment | None]) -> None:
        """Note what counts once, and keep what comes with it. Raises `sqlite3.Error`."""
        with self._lock, self._transaction():
            for once in onces:
                done = self._writes.execute(_CLAIM, (once.since, once.digest))
                once.spent = done.rowcount == 0
            kept = segment()
            if kept is not None:
                self._insert(kept)

    def _insert(self, segment: Segment) -> None:
        self._writes.execute(_INSERT, segment.row)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writes.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writes.execute("COMMIT")
        except BaseException:
            self._writes.rollback()
            raise

    def probe(self) -> None:
        """Commit a change of a number that nobody reads. Raises `sqlite3.Error`."""
        with self._lock:
            (number,) = self._writes.execute("PRAGMA user_version").fetchone()
            self._writes.execute(f"PRAGMA user_version = {(number + 1) % (1 << 30)}")

    def read(self, after: int, limit: int) -> list[tuple[int, Segment]]:
        """Give up to `limit` segments beyond a place, in the order of arrival.

        Raises `LogUnavailableError`.
        """
        rows = self._fetch(_SELECT, (after, limit))
        return [(row[0], Segment(*row[1:])) for row in rows]

    def remove(self, up_to: int) -> None:
        """Drop segments up to a place.

        SQLite numbers a row behind the last one: as long as what was read is there, nothing
        new comes before it.
        """
        with self._lock, self._transaction():
            self._writes.execute("DELETE FROM segments WHERE place <= ?", (up_to,))
            self._writes.execute(_FORGET, (system_clock() - KEEP_SECONDS,))

    def count(self) -> int:
        """Give how many records wait. Raises `LogUnavailableError`."""
        return int(self._fetch("SELECT coalesce(sum(count), 0) FROM segments")[0][0])

    def _fetch(self, query: str, values: tuple[int, ...] = ()) -> list[Any]:
        try:
            return self._reads.execute(query, values).fetchall()
        except sqlite3.Error as exc:
            raise LogUnavailableError(f"the log's inbox cannot be read: {exc}") from exc

    def close(self) -> None:
        """Close the file."""
        self._writes.close()
        self._reads.close()
