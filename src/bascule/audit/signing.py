"""Signing: only what is committed, never behind or beside what was signed before."""

from __future__ import annotations

from pathlib import Path

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.copies import Copies
from bascule.audit.durable import sync_folder, write_durably
from bascule.audit.merkle import consistency_proof, consistent
from bascule.audit.note import Signer
from bascule.audit.reader import TileReader
from bascule.audit.state import State, TamperedLogError
from bascule.errors import BasculeError

CHECKPOINT = "checkpoint"
RESTART = "`bascule audit restart` begins a new log and keeps this one aside"


class Signing:
    """Signs the committed trees of one log."""

    def __init__(
        self, folder: Path, signer: Signer, state: State, copies: tuple[Path, ...]
    ) -> None:
        """Compare the tree with what was signed before, here and in the copies.

        Raises `TamperedLogError`, and what reading notes and tiles raises.
        """
        self._folder = folder
        self._signer = signer
        self._copies = Copies(copies, state.origin)
        self._newest = Checkpoint(state.origin, 0, bytes.fromhex(State("").root))
        self.copy_problem: str | None = None
        """Why the newest checkpoint could not be copied."""
        self._check(state)

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
        write_durably(self._folder / CHECKPOINT, note)
        sync_folder(self._folder)
        self._newest = checkpoint
        # The log goes on without copies; that it is watched less is said by readyz.
        done, self.copy_problem = self._copies.write(checkpoint.size, note)
        state.copies = sorted({*state.copies, *done})

    def _check(self, state: State) -> None:
        reader = TileReader(self._folder, state.size)
        path = self._folder / CHECKPOINT
        notes = list(self._copies.newest(state))
        if path.exists():
            notes.append((path, path.read_bytes()))
        elif state.size:
            raise TamperedLogError(f"`{path}` is missing: restore it, or {RESTART}")
        for place, note in notes:
            try:
                found = Checkpoint.parse(self._signer.verifier.open(note))
            except BasculeError as exc:
                raise TamperedLogError(f"`{place}`: {exc}; {RESTART}") from exc
            self._require_consistent(found, state, reader, place)
            self._newest = max(self._newest, found, key=lambda it: it.size)
        if self._newest.size < state.signed:
            raise TamperedLogError(f"`{path}` is older than the one that was signed last")

    def _require_consistent(
        self, signed: Checkpoint, state: State, reader: TileReader, path: Path
    ) -> None:
        if signed.origin != state.origin:
            raise TamperedLogError(f"`{path}` is of another log, `{signed.origin}`")
        if signed.size > state.size:
            raise TamperedLogError(
                f"`{path}` is ahead of the log: the log was restored from an older copy or "
                f"cut; {RESTART}"
            )
        if signed.size == 0:
            return
        proof = consistency_proof(signed.size, state.size, reader.subtree)
        root = bytes.fromhex(state.root)
        if not consistent(signed.size, signed.root, state.size, root, proof):
            raise TamperedLogError(f"the log is not the one that `{path}` was signed for")
