"""Signing: only what is committed, never behind or beside what was signed before."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.copies import Copies
from bascule.audit.durable import sync_folder, write_durably
from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import consistency_proof, consistent
from bascule.audit.note import Signer
from bascule.audit.reader import TileReader
from bascule.audit.state import State, TamperedLogError
from bascule.errors import BasculeError

CHECKPOINT = "checkpoint"
VERIFIER = "log.vkey"
RESTART = "`bascule audit restart` begins a new log and keeps this one aside"


class Signing:
    """Signs the committed trees of one log."""

    def __init__(
        self,
        files: LogFiles,
        signer: Signer,
        state: State,
        copies: tuple[Path, ...],
        seen: Path | None,
    ) -> None:
        """Compare the tree with what was signed before, here and in the copies.

        `seen` is a folder that remembers the newest checkpoint apart from the log.
        Raises `TamperedLogError`, and what reading notes and tiles raises.
        """
        self._files = files
        self._signer = signer
        self._copies = Copies(copies, state.origin)
        self._seen = None if seen is None else seen / quote(state.origin, safe="")
        self._newest = Checkpoint(state.origin, 0, bytes.fromhex(State("").root))
        self.copy_problem: str | None = None
        """Why the newest checkpoint could not be copied."""
        self._check(state)
        publish(files, signer)

    @property
    def size(self) -> int:
        """Give the size that was signed last."""
        return self._newest.size

    def sign(self, state: State) -> None:
        """Sign the committed tree; `state.copies` is brought up to date.

        Raises `TamperedLogError` or OSError.
        """
        checkpoint = Checkpoint(state.origin, state.size, bytes.fromhex(state.root))
        if checkpoint.size < self._newest.size or (
            checkpoint.size == self._newest.size and checkpoint.root != self._newest.root
        ):
            raise TamperedLogError("the tree is behind what was signed")
        note = self._signer.sign(checkpoint.text)
        self._files.write([(CHECKPOINT, note)])
        self._newest = checkpoint
        if self._seen is not None:
            self._seen.parent.mkdir(mode=0o700, exist_ok=True)
            write_durably(self._seen, note)
            sync_folder(self._seen.parent)
        # The log goes on without copies; that it is watched less is said by readyz.
        done, self.copy_problem = self._copies.write(checkpoint.size, note)
        state.copies = sorted({*state.copies, *done})

    def _check(self, state: State) -> None:
        reader = TileReader(self._files, state.size)
        notes: list[tuple[object, bytes]] = list(self._copies.newest(state))
        if self._seen is not None and self._seen.exists():
            notes.append((self._seen, self._seen.read_bytes()))
        own = read_note(self._files)
        if own is not None:
            notes.append((CHECKPOINT, own))
        elif state.size:
            raise TamperedLogError(f"the checkpoint is missing: restore it, or {RESTART}")
        for place, note in notes:
            try:
                found = Checkpoint.parse(self._signer.verifier.open(note))
            except BasculeError as exc:
                raise TamperedLogError(f"`{place}`: {exc}; {RESTART}") from exc
            self._require_consistent(found, state, reader, place)
            self._newest = max(self._newest, found, key=lambda it: it.size)
        if self._newest.size < state.signed:
            raise TamperedLogError(
                "the checkpoint is older than the one that was signed last"
            )

    def _require_consistent(
        self, signed: Checkpoint, state: State, reader: TileReader, place: object
    ) -> None:
        if signed.origin != state.origin:
            raise TamperedLogError(f"`{place}` is of another log, `{signed.origin}`")
        if signed.size > state.size:
            raise TamperedLogError(
                f"`{place}` is ahead of the log, which was restored from an older copy or "
                f"cut; {RESTART}"
            )
        if signed.size == 0:
            return
        proof = consistency_proof(signed.size, state.size, reader.subtree)
        root = bytes.fromhex(state.root)
        if not consistent(signed.size, signed.root, state.size, root, proof):
            raise TamperedLogError(f"the log is not the one that `{place}` was signed for")


def read_note(files: LogFiles) -> bytes | None:
    """Give the newest checkpoint as it was signed; None without one. Raises OSError."""
    try:
        return files.read(CHECKPOINT)
    except FileNotFoundError:
        return None


def publish(files: LogFiles, signer: Signer) -> None:
    """Put the public key beside the log, for who verifies it."""
    text = f"{signer.verifier.text}\n".encode()
    try:
        known = files.read(VERIFIER)
    except FileNotFoundError:
        known = b""
    if known != text:
        files.write([(VERIFIER, text)])
