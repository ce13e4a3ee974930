"""One log as a process uses it: keys, inbox, writer, sequencer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bascule.audit.closing import SUPERVISOR_WRITER, Closing, LocalWriters
from bascule.audit.inbox import Inbox
from bascule.audit.log_files import LogFiles, SequencerBusyError
from bascule.audit.log_place import Keys, LogPlace
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
from bascule.audit.signing import RESTART, publish
from bascule.audit.state import State, TamperedLogError, read_state, write_state
from bascule.audit.writer import Writer
from bascule.clock import Entropy

LATE_SECONDS = 10.0
REFUSE_SECONDS = 60.0
GATEWAY_WRITER = "gateway"

SIGNING_KEY = "log.key"
OPENINGS_KEY = "openings.key"


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Keys of one log."""

    signer: Signer
    openings: bytes = field(repr=False)


def log_keys(place: LogPlace, entropy: Entropy) -> LogKeys:
    """Read the log's keys; where there is no log yet, begin one with a new origin.

    Raises `TamperedLogError` when there is a log without its key.
    """
    files = place.files()
    text = place.keys.read(SIGNING_KEY)
    if text is None:
        with place.keys.alone("log"):
            text = place.keys.read(SIGNING_KEY)
            if text is None:
                text = _begin(place.keys, files, entropy)
    try:
        signer = Signer.parse(text.decode())
    except (MalformedNoteError, UnicodeDecodeError) as exc:
        raise TamperedLogError(f"`{SIGNING_KEY}` is no log key; {RESTART}") from exc
    return LogKeys(signer, place.keys.create(OPENINGS_KEY, entropy(KEY_BYTES)))


def _begin(keys: Keys, files: LogFiles, entropy: Entropy) -> bytes:
    """Begin a log: its first state, before the key, since a key without one is a lost log.

    Gives the key. Raises `SequencerBusyError`, and `TamperedLogError` when there is a log.
    """
    fresh = Signer(f"bascule.local/{entropy(8).hex()}", entropy(32))
    files.take()
    try:
        old = read_state(files)
        if old is not None and old.size:
            raise TamperedLogError(f"the log's key is missing: restore it, or {RESTART}")
        replaces = [] if old is None else old.replaces
        write_state(files, State(fresh.name, replaces=replaces), state_key(fresh))
        publish(files, fresh)
    finally:
        files.release()
    return keys.create(SIGNING_KEY, fresh.text.encode())


class AuditLog:
    """The log of a running server."""

    def __init__(
        self,
        place: LogPlace,
        keys: LogKeys,
        entropy: Entropy,
        *,
        copies: tuple[Path, ...],
        on_problem: Callable[[Exception], None],
    ) -> None:
        """Open the log. Raises `LogUnavailableError`."""
        self.origin = keys.signer.name
        self.boot = entropy(8).hex()
        self.writers = LocalWriters(self.boot)
        shared = None if place.shared_inbox is None else place.shared_inbox()
        inbox: Inbox = place.inbox() if shared is None else shared
        self._inbox = inbox
        self.writer = open_writer(
            place, inbox, keys, entropy, name=GATEWAY_WRITER, boot=self.boot
        )
        closing = Closing(
            open_writer(
                place, inbox, keys, entropy, name=SUPERVISOR_WRITER, boot=self.boot
            ),
            self.writers.ended if shared is None else shared.ended,
            origin=self.origin,
            boot=self.boot,
        )
        self.sequencing = Sequencing(
            lambda: Sequencer(
                place.files(), inbox, keys.signer, copies=copies, seen=place.seen
            ),
            closing,
            on_problem,
            waiting=None if shared is None else shared.age,
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
    place: LogPlace, inbox: Inbox, keys: LogKeys, entropy: Entropy, *, name: str, boot: str
) -> Writer:
    """Make a writer, with a chain and openings of its own."""
    return Writer(
        inbox,
        OpeningSealer(keys.openings, entropy),
        chain_key=chain_key(keys.signer),
        folder=place.disk,
        name=name,
        boot=boot,
    )


def append_command_record(
    place: LogPlace,
    inbox: Inbox,
    keys: LogKeys,
    entropy: Entropy,
    make: Callable[[str, str, str], Record],
) -> None:
    """Write one record for a command: durable on return.

    `make` gets origin, writer and boot. Raises `LogUnavailableError`.
    """
    boot = entropy(8).hex()
    writer = open_writer(place, inbox, keys, entropy, name=COMMAND_WRITER, boot=boot)
    writer.append_now(encode(make(keys.signer.name, COMMAND_WRITER, boot)))


def settle(place: LogPlace, inbox: Inbox, keys: LogKeys) -> None:
    """Take what waits into the tree, unless a running server does that anyway.

    Raises `TamperedLogError` or `TreeError`.
    """
    try:
        sequencer = Sequencer(place.files(), inbox, keys.signer, seen=place.seen)
    except SequencerBusyError:
        return
    try:
        sequencer.step()
    finally:
        sequencer.close()
