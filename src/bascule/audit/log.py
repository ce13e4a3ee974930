"""One log as a process uses it: keys, inbox, writer, sequencer."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bascule.audit.closing import SUPERVISOR_WRITER, Closing, LocalWriters
from bascule.audit.inbox import Inbox
from bascule.audit.log_files import FolderFiles, LogFiles, SequencerBusyError
from bascule.audit.note import MalformedNoteError, Signer
from bascule.audit.openings import KEY_BYTES, OpeningSealer
from bascule.audit.record import Record, encode
from bascule.audit.sequencer import (
    COMMAND_WRITER,
    Sequencer,
    chain_key,
    state_key,
)
from bascule.audit.sequencing import Sequencing
from bascule.audit.signing import RESTART, VERIFIER
from bascule.audit.state import State, TamperedLogError, read_state, write_state
from bascule.audit.writer import Writer
from bascule.clock import Entropy

LATE_SECONDS = 10.0
REFUSE_SECONDS = 60.0
GATEWAY_WRITER = "gateway"

KeyFile = Callable[[Path, bytes], bytes]
"""Reads a key file, or keeps the given bytes as the key when there is none."""


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Keys of one log."""

    signer: Signer
    openings: bytes = field(repr=False)


def log_keys(data_dir: Path, key_file: KeyFile, entropy: Entropy) -> LogKeys:
    """Read the log's keys; where there is no log yet, begin one with a new origin.

    Raises `TamperedLogError` when there is a log without its key.
    """
    path = data_dir / "keys" / "log.key"
    files = FolderFiles(data_dir / "audit")
    with _one_at_a_time(data_dir / "keys" / "log.lock"):
        fresh = Signer(f"bascule.local/{entropy(8).hex()}", entropy(32))
        if not path.exists():
            _begin(files, fresh)
        try:
            signer = Signer.parse(key_file(path, fresh.text.encode()).decode())
        except (MalformedNoteError, UnicodeDecodeError) as exc:
            raise TamperedLogError(f"`{path}` is no log key; {RESTART}") from exc
        _publish(files, signer)
        openings = key_file(data_dir / "keys" / "openings.key", entropy(KEY_BYTES))
    return LogKeys(signer, openings)


def _begin(files: LogFiles, signer: Signer) -> None:
    """Write the first state, before the key: a key without it means a lost log."""
    old = read_state(files)
    if old is not None and old.size:
        raise TamperedLogError(f"the log's key is missing: restore it, or {RESTART}")
    replaces = [] if old is None else old.replaces
    write_state(files, State(signer.name, replaces=replaces), state_key(signer))


def _publish(files: LogFiles, signer: Signer) -> None:
    text = f"{signer.verifier.text}\n".encode()
    try:
        known = files.read(VERIFIER)
    except FileNotFoundError:
        known = b""
    if known != text:
        files.write([(VERIFIER, text)])


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class AuditLog:
    """The log of a running server."""

    def __init__(
        self,
        data_dir: Path,
        inbox: Inbox,
        keys: LogKeys,
        entropy: Entropy,
        *,
        copies: tuple[Path, ...],
        on_problem: Callable[[Exception], None],
    ) -> None:
        """Open the log and become its sequencer.

        Raises `SequencerBusyError`, `TamperedLogError` or `TreeError`.
        """
        folder = data_dir / "audit"
        self._inbox = inbox
        self.origin = keys.signer.name
        self.boot = entropy(8).hex()
        self.writers = LocalWriters(self.boot)
        self.writer = open_writer(
            data_dir, inbox, keys, entropy, name=GATEWAY_WRITER, boot=self.boot
        )
        closing = Closing(
            open_writer(
                data_dir, inbox, keys, entropy, name=SUPERVISOR_WRITER, boot=self.boot
            ),
            self.writers.ended,
            origin=self.origin,
            boot=self.boot,
        )
        self.sequencing = Sequencing(
            lambda: Sequencer(FolderFiles(folder), inbox, keys.signer, copies=copies),
            closing,
            on_problem,
            waiting=None,
        )

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what an earlier run left open, and begin."""
        self.sequencing.begin()
        self.writer.start(loop)
        self.sequencing.start()

    def late(self) -> list[str]:
        """Say what is late, one sentence each; empty when all is well."""
        found = []
        if self.writer.problem is not None:
            found.append(self.writer.problem)
        if self.sequencing.lag > LATE_SECONDS:
            found.append("records wait too long to be taken into the log")
        if self.sequencing.copy_problem is not None:
            found.append(self.sequencing.copy_problem)
        return found

    def close(self) -> None:
        """Write and take in what waits, and stop."""
        self.writer.close()
        self.sequencing.close()
        self._inbox.close()


def open_writer(
    data_dir: Path, inbox: Inbox, keys: LogKeys, entropy: Entropy, *, name: str, boot: str
) -> Writer:
    """Make a writer, with a chain and openings of its own."""
    return Writer(
        inbox,
        OpeningSealer(keys.openings, entropy),
        chain_key=chain_key(keys.signer),
        folder=data_dir / "audit",
        name=name,
        boot=boot,
    )


def append_command_record(
    data_dir: Path,
    inbox: Inbox,
    keys: LogKeys,
    entropy: Entropy,
    make: Callable[[str, str, str], Record],
) -> None:
    """Write one record for a command: durable on return.

    `make` gets origin, writer and boot. Raises `LogUnavailableError`.
    """
    boot = entropy(8).hex()
    writer = open_writer(data_dir, inbox, keys, entropy, name=COMMAND_WRITER, boot=boot)
    writer.append_now(encode(make(keys.signer.name, COMMAND_WRITER, boot)))


def settle(data_dir: Path, inbox: Inbox, keys: LogKeys) -> None:
    """Take what waits into the tree, unless a running server does that anyway.

    Raises `TamperedLogError` or `TreeError`.
    """
    try:
        sequencer = Sequencer(FolderFiles(data_dir / "audit"), inbox, keys.signer)
    except SequencerBusyError:
        return
    try:
        sequencer.step()
    finally:
        sequencer.close()
