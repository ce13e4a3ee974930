"""A log on disk, made by its real parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.app.files import key_file
from bascule.audit.inbox import ChainEnd
from bascule.audit.log import LogKeys, log_keys
from bascule.audit.log_files import FolderFiles
from bascule.audit.openings import pack_openings
from bascule.audit.query import leaves
from bascule.audit.record import AuthzPart, McpPart, Record
from bascule.audit.sequencer import Sequencer, chain_key
from bascule.clock import Micros, new_id, system_entropy
from bascule.storage.inbox import SqliteInbox


def record(number: int = 0, **fields: Any) -> Record:
    """Make the record of an allowed call."""
    now = Micros(1_700_000_000_000_000 + number)
    common: dict[str, Any] = {
        "authz": AuthzPart("allow", reason="permitted"),
        "boot": "0011223344556677",
        "connector": "tickets",
        "id": new_id(now),
        "log": "bascule.local/test",
        "mcp": McpPart("tools/call", name=f"tool_{number}"),
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
    def files(self) -> FolderFiles:
        """The same as the log sees it; a new one each time, as in another process."""
        return FolderFiles(self.folder)

    @contextlib.contextmanager
    def inbox(self) -> Iterator[SqliteInbox]:
        inbox = SqliteInbox(self.folder / "inbox.db")
        try:
            yield inbox
        finally:
            inbox.close()

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
    def sequencer(self, inbox: SqliteInbox, **options: Any) -> Iterator[Sequencer]:
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


def new_log(data_dir: Path) -> LogFolder:
    """Begin a log in a data directory, made when missing."""
    for part in ("audit", "keys"):
        (data_dir / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = log_keys(data_dir, key_file, system_entropy)
    boot = system_entropy(8).hex()
    return LogFolder(data_dir, keys, ChainEnd(chain_key(keys.signer), "gateway", boot))
