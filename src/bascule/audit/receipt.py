"""Receipts: a record with the proof that the log holds it, made from the log's files."""

from __future__ import annotations

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import inclusion_proof
from bascule.audit.note import Verifier
from bascule.audit.proof import Proof
from bascule.audit.reader import TileReader
from bascule.audit.signing import CHECKPOINT
from bascule.audit.tile import WIDTH
from bascule.errors import BasculeError


class NotSignedError(BasculeError):
    """The record is in no signed checkpoint yet."""


def receipt(files: LogFiles, verifier: Verifier, seq: int) -> Proof:
    """Make the receipt of one record, checked.

    Raises `NotSignedError`, or another `BasculeError` when the log is damaged.
    """
    note = files.read(CHECKPOINT)
    size = Checkpoint.parse(verifier.open(note)).size
    if seq >= size:
        raise NotSignedError(f"record {seq} is not signed yet: {size} are")
    reader = TileReader(files, size)
    entry = reader.entries(seq // WIDTH)[seq % WIDTH]
    proof = Proof(entry, seq, tuple(inclusion_proof(seq, size, reader.subtree)), note)
    proof.check(verifier)
    return proof
