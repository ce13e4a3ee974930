"""A log on disk, made by its real parts."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from bascule.app.place import Place
from bascule.audit.inbox import ChainEnd, Inbox
from bascule.audit.log import LogKeys
from bascule.audit.log_files import LogFiles
from bascule.audit.log_place import LogPlace
from bascule.audit.openings import pack_openings
from bascule.audit.query import leaves
from bascule.audit.record import AuthzPart, McpPart, Record
from bascule.audit.sequencer import Sequencer, chain_key
from bascule.clock import Micros, new_id, system_entropy
from bascule.config.model import Server


def record(number: int = 0, **fields: Any) -> Record:
    """Make the record of an allowed call."""
    now = Micros(1_700_000_000_000_000 + number)
    common: dict[str, Any] = {
        "authz": AuthzPart(decision="allow", reason="permitted"),
        "boot": "0011223344556677",
        "connector": "tickets",
        "id": new_id(now),
        "log": "bascule.local/test",
        "mcp": McpPart(method="tools/call", name=f"tool_{number}"),
        "stage": "decided",
        "ts": int(now),
        "type": "call.start",
        "v": 1,
        "writer": "gateway",
    }
    return Record(**{**common, **fields})


@dataclass
class LogFolder:
    """A data directory with a log, and one writer's chain into its inbox."""

    data_dir: Path
    keys: LogKeys
    chain: ChainEnd
    written: list[bytes] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.data_dir / "audit"

    @property
    def place(self) -> LogPlace:
        """All parts of the log, as a process uses them."""
        return Place(self.data_dir, Server()).log()

    def with_inbox(self, inbox: Inbox) -> LogPlace:
        """The same, but for an inbox of the test."""
        return replace(self.place, inbox=lambda: inbox)

    @property
    def files(self) -> LogFiles:
        """The log's files; a new object each time, as in another process."""
        return self.place.files()

    @contextlib.contextmanager
    def inbox(self) -> Iterator[Inbox]:
        inbox = self.place.inbox()
        try:
            yield inbox
        finally:
            inbox.close()

    # What somebody does behind the log's back

    def names(self) -> list[str]:
        """Give the names of all files of the tree."""
        found = (it for it in self.folder.rglob("*/*") if it.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def edit(self, name: str, data: bytes | None) -> None:
        """Change a file, or remove it."""
        if data is None:
            (self.folder / name).unlink()
        else:
            (self.folder / name).write_bytes(data)

    def lapse(self) -> None:
        """Let the lease of a sequencer that died be over; a lock is gone with it."""

    def edit_inbox(self, statement: str) -> None:
        """Change one row."""
        statement = statement.replace("SEGMENTS", "segments")
        with sqlite3.connect(self.folder / "inbox.db") as connection:
            assert connection.execute(statement).rowcount == 1
        connection.close()

    def put(self, *entries: bytes) -> None:
        """Put entries into the inbox as one segment."""
        segment = self.chain.segment(list(entries), pack_openings([b""] * len(entries)))
        with self.inbox() as inbox:
            inbox.write(segment)
        self.chain.advance(segment)
        self.written += entries

    def fill(self, count: int) -> None:
        """Put so many small entries into the inbox."""
        start = len(self.written)
        numbers = range(start, start + count)
        for first in range(0, count, 4000):
            self.put(*(b'{"n":%d}' % it for it in numbers[first : first + 4000]))

    def step(self, **options: Any) -> int:
        """Take in what waits, as one run of a sequencer."""
        with self.inbox() as inbox, self.sequencer(inbox, **options) as sequencer:
            return sequencer.step()

    @contextlib.contextmanager
    def sequencer(self, inbox: Inbox, **options: Any) -> Iterator[Sequencer]:
        sequencer = Sequencer(self.files, inbox, self.keys.signer, **options)
        try:
            yield sequencer
        finally:
            sequencer.close()

    def grow(self, count: int) -> None:
        """Put so many entries into the tree."""
        self.fill(count)
        self.step()

    def entries(self) -> list[bytes]:
        """Give all entries of the tree."""
        return [leaf for _, leaf in leaves(self.files)]

    def waiting(self) -> int:
        with self.inbox() as inbox:
            return inbox.count()


@dataclass
class DatabaseLog(LogFolder):
    """The same in PostgreSQL; the connection that writes stays, as that of a process."""

    writing: list[Inbox] = field(default_factory=list)

    @property
    def place(self) -> LogPlace:
        return _opened(self.data_dir).log()

    @contextlib.contextmanager
    def inbox(self) -> Iterator[Inbox]:
        if not self.writing:
            self.writing.append(self.place.inbox())
            _connections.extend(self.writing)
        yield self.writing[0]

    def hang_up(self) -> None:
        """End the connection that writes, as the end of a process does."""
        self.writing.pop().close()

    def execute(self, statement: str, *values: object) -> int:
        """Run a statement of the test itself; gives the number of rows."""
        url = (self.data_dir / "database").read_text()
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(statement, values).rowcount  # type: ignore[arg-type]

    def lapse(self) -> None:
        self.execute("UPDATE log_lease SET held_until = 0")

    def names(self) -> list[str]:
        url = (self.data_dir / "database").read_text()
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT name FROM log_files").fetchall()
        return sorted(name for (name,) in rows if "/" in name)

    def edit(self, name: str, data: bytes | None) -> None:
        if data is None:
            assert self.execute("DELETE FROM log_files WHERE name = %s", name) == 1
            return
        put = "INSERT INTO log_files (log, name, data) VALUES (1, %s, %s) ON CONFLICT"
        self.execute(f"{put} (log, name) DO UPDATE SET data = excluded.data", name, data)

    def edit_inbox(self, statement: str) -> None:
        statement = statement.replace("SEGMENTS", "log_segments")
        statement = re.sub(r"x'([0-9a-f]*)'", r"decode('\1', 'hex')", statement)
        statement = re.sub(
            r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", statement
        )
        assert self.execute(statement) == 1


_places: dict[Path, Place] = {}
_connections: list[Inbox] = []


def _opened(data_dir: Path) -> Place:
    if data_dir not in _places:
        _places[data_dir] = Place(data_dir, server_of(data_dir))
    return _places[data_dir]


def server_of(data_dir: Path) -> Server:
    """Say where the log of a data directory is: a database, if it has one's URL."""
    database = data_dir / "database"
    if not database.exists():
        return Server()
    return Server(
        database=f"file:{database}", key_encryption=f"file:{data_dir / 'key-encryption'}"
    )


def use_database(data_dir: Path, url: str) -> None:
    """Have the log of a data directory be in a database."""
    data_dir.mkdir(mode=0o700, parents=True)
    for name, text in (("database", url), ("key-encryption", "5a" * 32)):
        (data_dir / name).touch(0o600)
        (data_dir / name).write_text(text)


def new_log(data_dir: Path) -> LogFolder:
    """Begin a log of a data directory, made when missing; or take up the one there is."""
    for part in ("audit", "keys"):
        (data_dir / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    server = server_of(data_dir)
    in_database = server.database != "sqlite"
    place = _opened(data_dir) if in_database else Place(data_dir, server)
    keys = place.log_keys()
    boot = system_entropy(8).hex()
    made = DatabaseLog if in_database else LogFolder
    return made(data_dir, keys, ChainEnd(chain_key(keys.signer), "gateway", boot))


def close_databases() -> None:
    """Close what logs in databases have opened."""
    while _connections:
        _connections.pop().close()
    while _places:
        _places.popitem()[1].close()
