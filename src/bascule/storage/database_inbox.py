"""The inbox of the audit log in PostgreSQL.

A writer's chain is bound to the connection that writes it: the connection holds an advisory
lock of the chain's name, and no other connection ever goes on with it. So when the lock is
free, whatever the chain has written is committed, and nobody can write it any more. The
session is the writer's lease: it ends with the process, or when the server gives it up.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Sequence, Set
from typing import Any

from sqlalchemy import Connection, text

from bascule.audit.inbox import Segment
from bascule.audit.once import KEEP_SECONDS, Once
from bascule.audit.writer import LogUnavailableError
from bascule.clock import system_clock
from bascule.errors import BasculeError
from bascule.storage.postgres import PostgresStore

_NOW = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
_COLUMNS = "writer, boot, first, count, prev, head, leaves, openings"
_INSERT = (
    f"INSERT INTO log_segments (log, written_at, {_COLUMNS})"  # noqa: S608 - constants
    f" SELECT log, {_NOW}, %s, %s, %s::bigint, %s::bigint, %s::bytea, %s::bytea,"
    " %s::bytea, %s::bytea FROM log_lease"
)
_SELECT = text(
    f"SELECT place, {_COLUMNS} FROM log_segments"  # noqa: S608 - constants
    " WHERE log = (SELECT log FROM log_lease) AND place <> ALL(:given)"
    " ORDER BY place LIMIT :limit"
)
_REMOVE = text("DELETE FROM log_segments WHERE place = ANY(:places)")
_COUNT = text(
    "SELECT coalesce(sum(count), 0)::bigint FROM log_segments"
    " WHERE log = (SELECT log FROM log_lease)"
)
_AGE = text(
    f"SELECT greatest(coalesce({_NOW} - min(written_at), 0), 0) FROM log_segments"  # noqa: S608
    " WHERE log = (SELECT log FROM log_lease)"
)
_CLAIM = (
    "INSERT INTO shown_once (since, digest) VALUES (%s::bigint, %s::bytea)"
    " ON CONFLICT DO NOTHING"
)
_FORGET = text("DELETE FROM shown_once WHERE since < :until")
_LOCKS = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class DatabaseInbox:
    """An inbox that any process may write that reaches the database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._connection: Any = None
        """Writes; its session holds the locks of its chains. None until it is needed."""
        self._chains: set[str] = set()
        self._given: dict[int, int] = {}
        """Rows that were read and not removed yet: place as we count → as the table does.

        Rows appear in the order of commits, not of the table's numbers."""

    def write(self, segment: Segment) -> None:
        """Keep a segment; one commit. Raises whatever keeps it from being kept."""
        with self._lock, self._connected() as connection:
            self._insert(connection, segment)

    def claim(self, onces: Sequence[Once], segment: Callable[[], Segment | None]) -> None:
        """Note what counts once, and keep what comes with it; one commit.

        Whoever notes the same at the same time waits for this commit. All do so in one
        order, or two could wait for each other. Raises whatever keeps it from being kept.
        """
        ordered = sorted(onces, key=lambda once: (once.since, once.digest))
        with self._lock, self._connected() as connection, connection.transaction():
            for once in ordered:
                done = connection.execute(_CLAIM, [once.since, once.digest])
                once.spent = done.rowcount == 0
            kept = segment()
            if kept is not None:
                self._insert(connection, kept)

    def _insert(self, connection: Any, segment: Segment) -> None:
        if segment.chain not in self._chains:
            if segment.first:
                raise LogUnavailableError("the connection of this chain is gone")
            connection.execute("SELECT pg_advisory_lock(%s)", [_number(segment.chain)])
            self._chains.add(segment.chain)
        connection.execute(_INSERT, segment.row)

    def probe(self) -> None:
        """Find out whether the database takes commits; raises what `write` would."""
        with self._lock, self._connected() as connection:
            connection.execute("UPDATE log_lease SET id = id")

    def read(self, after: int, limit: int) -> list[tuple[int, Segment]]:
        """Give up to `limit` segments that were not given yet, a writer's in its order.

        `after` is the place that was given last. Raises `LogUnavailableError`.
        """
        self._given = {ours: row for ours, row in self._given.items() if ours <= after}
        values = {"given": list(self._given.values()), "limit": limit}
        found = []
        for row in self._ask(_SELECT, values):
            after += 1
            self._given[after] = row[0]
            found.append((after, Segment(*(_plain(it) for it in row[1:]))))
        return found

    def remove(self, up_to: int) -> None:
        """Drop segments up to a place, which are in the tree by now."""
        places = [row for ours, row in self._given.items() if ours <= up_to]
        if places:
            until = system_clock() - KEEP_SECONDS

            def remove(conn: Connection) -> None:
                conn.execute(_REMOVE, {"places": places})
                conn.execute(_FORGET, {"until": until})

            self._store.commit(remove)
        self._given = {ours: row for ours, row in self._given.items() if ours > up_to}

    def count(self) -> int:
        """Give how many records wait. Raises `LogUnavailableError`."""
        return int(self._ask(_COUNT)[0][0])

    def age(self) -> float:
        """Give the seconds that the oldest record waits. Raises `LogUnavailableError`."""
        return float(self._ask(_AGE)[0][0]) / 1000

    def ended(self, chains: Set[str]) -> Set[str]:
        """Give those of some chains whose connection is gone, so that none can write them.

        Raises `LogUnavailableError`.
        """
        if not chains:
            return chains
        held = {int(row[0]) for row in self._ask(_LOCKS)}
        return {chain for chain in chains if _number(chain) not in held}

    def _ask(self, query: Any, values: dict[str, Any] | None = None) -> list[Any]:
        try:
            return self._store.fetch(query, values)
        except BasculeError as exc:
            raise LogUnavailableError(f"the log's inbox cannot be read: {exc}") from exc

    @contextlib.contextmanager
    def _connected(self) -> Any:
        """Give the writing connection; after an error it is never used again."""
        try:
            if self._connection is None:
                raw = self._store.engine.raw_connection()
                self._connection = raw.driver_connection
                raw.detach()  # from the pool, where another would get the locks
                self._connection.autocommit = True
            yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection, and with it of its chains."""
        connection, self._connection = self._connection, None
        self._chains.clear()
        if connection is not None:
            connection.close()


def _number(chain: str) -> int:
    """Give the number of a chain's lock."""
    digest = hashlib.sha256(b"bascule chain " + chain.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
