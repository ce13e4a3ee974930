"""One log as a process uses it: keys, inbox, writer, sequencer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bascule.audit.inbox import Inbox
from bascule.audit.note import Signer
from bascule.audit.openings import KEY_BYTES, OpeningSealer
from bascule.audit.record import Record, ResultPart, encode
from bascule.audit.sequencer import (
    COMMAND_WRITER,
    Sequencer,
    SequencerBusyError,
    SequencerThread,
)
from bascule.audit.tree import write_durably
from bascule.audit.writer import Writer
from bascule.clock import Entropy, new_id, system_micros

LATE_SECONDS = 10.0
REFUSE_SECONDS = 60.0
GATEWAY_WRITER = "gateway"
RECORD_VERSION = 1

KeyFile = Callable[[Path, bytes], bytes]
"""Reads a key file, or keeps the given bytes as the key when there is none."""


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Keys of one log."""

    signer: Signer
    openings: bytes


def log_keys(data_dir: Path, key_file: KeyFile, entropy: Entropy) -> LogKeys:
    """Read the log's keys, or make them with a new origin."""
    fresh = Signer(f"bascule.local/{entropy(8).hex()}", entropy(32))
    text = key_file(data_dir / "keys" / "log.key", fresh.text.encode())
    signer = Signer.parse(text.decode())
    public = data_dir / "audit" / "log.vkey"
    if not public.exists():
        write_durably(public, f"{signer.verifier.text}\n".encode())
    return LogKeys(signer, key_file(data_dir / "keys" / "openings.key", entropy(KEY_BYTES)))


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
        self.sequencer = Sequencer(folder, inbox, keys.signer, copies=copies)
        sealer = OpeningSealer(keys.openings, entropy)
        self.writer = Writer(
            inbox, sealer, folder=folder, name=GATEWAY_WRITER, boot=self.boot
        )
        self._thread = SequencerThread(self.sequencer, on_problem)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what an earlier run left open, and begin."""
        self.sequencer.step()
        for call in self.sequencer.open_calls(but_not=self.boot):
            self.writer.append_now(encode(self._unknown_outcome(call)))
        self.writer.start(loop)
        self._thread.start()

    def late(self) -> list[str]:
        """Say what is late, one sentence each; empty when all is well."""
        found = []
        if self.writer.problem is not None:
            found.append(self.writer.problem)
        if self.sequencer.lag > LATE_SECONDS:
            found.append("records wait too long to be taken into the log")
        if self.sequencer.copy_problem is not None:
            found.append(self.sequencer.copy_problem)
        return found

    def close(self) -> None:
        """Write and take in what waits, and stop."""
        self.writer.close()
        self._thread.close()
        self._inbox.close()

    def _unknown_outcome(self, call: str) -> Record:
        now = system_micros()
        return Record(
            boot=self.boot,
            id=new_id(now),
            log=self.origin,
            parent=call,
            result=ResultPart(bytes=0, outcome="outcome_unknown"),
            stage="completed",
            ts=now,
            type="call.end",
            v=RECORD_VERSION,
            writer=GATEWAY_WRITER,
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
    sealer = OpeningSealer(keys.openings, entropy)
    writer = Writer(
        inbox, sealer, folder=data_dir / "audit", name=COMMAND_WRITER, boot=boot
    )
    writer.append_now(encode(make(keys.signer.name, COMMAND_WRITER, boot)))


def settle(data_dir: Path, inbox: Inbox, keys: LogKeys) -> None:
    """Take what waits into the tree, unless a running server does that anyway."""
    try:
        sequencer = Sequencer(data_dir / "audit", inbox, keys.signer)
    except SequencerBusyError:
        return
    try:
        sequencer.step()
    finally:
        sequencer.close()
