"""The sequencer: takes records from the inbox into the tree, and signs what the tree is.

In this order, so that a crash at any point loses nothing and repeats nothing: tiles on
disk, state swapped, checkpoint signed, inbox emptied.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.inbox import GENESIS, Inbox, Segment
from bascule.audit.merkle import consistency_proof, consistent
from bascule.audit.note import Signer
from bascule.audit.tile import unpack
from bascule.audit.tree import (
    Chain,
    State,
    TileReader,
    Tree,
    TreeError,
    read_state,
    sync_folder,
    write_durably,
)
from bascule.clock import monotonic
from bascule.errors import BasculeError

READ_SEGMENTS = 64
COMMAND_WRITER = "cli"
"""Writers of this name run once; their chains are forgotten when they are in the tree."""


class TamperedLogError(BasculeError):
    """The log is not what was signed, or its inbox was tampered with."""


class SequencerBusyError(BasculeError):
    """Another process is the sequencer."""


class _Peek(msgspec.Struct):
    """What the sequencer looks at in a record."""

    id: str
    stage: str
    parent: str = ""
    authz: dict[str, object] | None = None


_peek = msgspec.json.Decoder(_Peek)


class Sequencer:
    """Grows one log; at most one process at a time."""

    def __init__(
        self,
        folder: Path,
        inbox: Inbox,
        signer: Signer,
        *,
        copies: tuple[Path, ...] = (),
        crash_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take over the log in `folder`.

        `crash_point` is called by name between the steps that must be safe to die between.
        Raises `SequencerBusyError`, `TreeError` or `TamperedLogError`.
        """
        self._folder = folder
        self._inbox = inbox
        self._signer = signer
        self._copies = copies
        self._crash_point = crash_point
        self._lock = _take_lock(folder)
        try:
            self._state = read_state(folder) or State(origin=signer.name)
            if self._state.origin != signer.name:
                raise TamperedLogError("the log's key is of another log")
            self._tree = Tree(folder, self._state.size)
            if self._tree.root().hex() != self._state.root:
                raise TamperedLogError("the log's files do not add up to its state")
            self._signed = self._check_signed()
        except BaseException:
            os.close(self._lock)
            raise
        self._state.fence += 1
        self._place = 0
        """Place in the inbox up to which segments were taken."""
        self._dirty = False
        """Something was taken and is not committed yet."""
        self._caught_up = monotonic()
        self._ended: set[str] = set()
        """Chains of commands that are in the tree and no longer in the inbox."""
        self.copy_problem: str | None = None
        """Why the newest checkpoint could not be copied."""

    @property
    def size(self) -> int:
        """Give how many records are in the committed tree."""
        return self._state.size

    @property
    def lag(self) -> float:
        """Give the seconds since all records were last in the tree."""
        return monotonic() - self._caught_up

    def open_calls(self, *, but_not: str) -> dict[str, str]:
        """Give the allowed calls whose end is missing, except those of one boot."""
        calls = self._state.open.items()
        return {call: chain for call, chain in calls if but_not not in chain}

    def step(self) -> int:
        """Take in all that waits and commit it; gives how many records.

        Raises `TamperedLogError` for an inbox with gaps or foreign links, `TreeError` when
        another sequencer has taken over, OSError when files cannot be written.
        """
        began = monotonic()
        before = self._tree.size
        while segments := self._inbox.read(self._place, READ_SEGMENTS):
            for place, segment in segments:
                self._take(segment)
                self._place = place
                self._dirty = True
        if self._dirty:
            self._commit()
            self._dirty = False
        self._caught_up = began
        return self._tree.size - before

    def close(self) -> None:
        """Let another process take over."""
        os.close(self._lock)

    def _take(self, segment: Segment) -> None:
        name = f"{segment.writer} {segment.boot}"
        chain = self._state.chains.pop(name, None) or Chain(0, GENESIS.hex())
        if segment.first + segment.count <= chain.next:
            self._state.chains[name] = chain  # in the tree already: a crash left it behind
            return
        if segment.first != chain.next or segment.prev.hex() != chain.head:
            raise TamperedLogError(f"records of `{name}` are missing from the inbox")
        leaves, openings = unpack(segment.leaves), unpack(segment.openings)
        if len(leaves) != segment.count or len(openings) != segment.count:
            raise TamperedLogError(f"records of `{name}` are damaged in the inbox")
        for leaf, opening in zip(leaves, openings, strict=True):
            self._tree.append(leaf, opening)
            self._note_call(leaf, name)
        head = segment.head.hex()
        self._state.chains[name] = Chain(segment.first + segment.count, head)

    def _note_call(self, leaf: bytes, chain: str) -> None:
        try:
            record = _peek.decode(leaf)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if record.stage == "completed":
            self._state.open.pop(record.parent, None)
        elif record.stage == "decided" and (record.authz or {}).get("decision") == "allow":
            self._state.open[record.id] = chain

    def _commit(self) -> None:
        stored = read_state(self._folder)
        if stored is not None and stored.fence > self._state.fence:
            raise TreeError("another sequencer has taken over this log")
        self._tree.write()
        self._crash_point("tiles")
        for name in self._ended:
            self._state.chains.pop(name, None)
        self._state.size = self._tree.size
        self._state.root = self._tree.root().hex()
        write_durably(self._folder / "state", msgspec.json.encode(self._state))
        sync_folder(self._folder)
        self._crash_point("state")
        self.sign()
        self._crash_point("checkpoint")
        self._inbox.remove(self._place)
        self._crash_point("inbox")
        self._ended = {
            name for name in self._state.chains if name.startswith(f"{COMMAND_WRITER} ")
        }
        self._tree.drop_stale()

    def sign(self) -> None:
        """Sign the committed tree and give the checkpoint to all who keep copies."""
        checkpoint = Checkpoint(
            self._state.origin, self._state.size, bytes.fromhex(self._state.root)
        )
        if checkpoint.size < self._signed.size or (
            checkpoint.size == self._signed.size and checkpoint.root != self._signed.root
        ):
            raise TamperedLogError("the tree is behind what was signed")
        note = self._signer.sign(checkpoint.text)
        write_durably(self._folder / "checkpoint", note)
        sync_folder(self._folder)
        self._signed = checkpoint
        self.copy_problem = None
        for folder in self._copies:
            try:
                write_durably(folder / f"checkpoint-{checkpoint.size}", note)
                write_durably(folder / "checkpoint", note)
                sync_folder(folder)
            except OSError as exc:
                # The log goes on: what is said here is that it is watched less.
                self.copy_problem = f"checkpoints cannot be copied to `{folder}`: {exc}"

    def _check_signed(self) -> Checkpoint:
        """Compare the tree with what was signed before, here and in the copies."""
        newest = Checkpoint(self._state.origin, 0, bytes.fromhex(State("").root))
        reader = TileReader(self._folder, self._state.size)
        for folder in (self._folder, *self._copies):
            path = folder / "checkpoint"
            if not path.exists():
                continue
            text = self._signer.verifier.open(path.read_bytes())
            found = Checkpoint.parse(text)
            self._require_consistent(found, reader, path)
            newest = max(newest, found, key=lambda it: it.size)
        return newest

    def _require_consistent(
        self, signed: Checkpoint, reader: TileReader, path: Path
    ) -> None:
        size, root = self._state.size, bytes.fromhex(self._state.root)
        if signed.size > size:
            raise TamperedLogError(
                f"`{path}` is ahead of the log: the log was restored from an older copy or "
                "cut; `bascule audit restart` begins a new one and keeps this aside"
            )
        if signed.size == 0:
            return
        proof = consistency_proof(signed.size, size, reader.subtree)
        if not consistent(signed.size, signed.root, size, root, proof):
            raise TamperedLogError(f"the log is not the one that `{path}` was signed for")


def _take_lock(folder: Path) -> int:
    path = folder / "sequencer.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise SequencerBusyError("another process writes this log") from exc
    return descriptor


class SequencerThread:
    """Runs a sequencer about once a second."""

    INTERVAL_SECONDS = 1.0
    IDLE_SECONDS = 600.0

    def __init__(
        self, sequencer: Sequencer, on_problem: Callable[[Exception], None]
    ) -> None:
        self._sequencer = sequencer
        self._on_problem = on_problem
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name="audit-sequencer", daemon=True
        )
        self._signed = monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Take in what waits, once more, and stop."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            stopping = self._stop.wait(self.INTERVAL_SECONDS)
            try:
                self._once()
            except Exception as exc:  # noqa: BLE001 - told, and tried again: calls stop by lag
                self._on_problem(exc)
            if stopping:
                self._sequencer.close()
                return

    def _once(self) -> None:
        now = monotonic()
        if self._sequencer.step():
            self._signed = now
        elif now - self._signed > self.IDLE_SECONDS:
            self._sequencer.sign()
            self._signed = now
