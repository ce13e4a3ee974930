"""Receipts (C2SP tlog-proof): an entry, its way up the tree, and a signed checkpoint."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.merkle import inclusion_root, leaf_hash
from bascule.audit.note import Verifier
from bascule.audit.tile import HASH_BYTES
from bascule.errors import BasculeError

_HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES = 63
MAX_PROOF_BYTES = 512 << 10


class MalformedProofError(BasculeError):
    """The bytes are no proof."""


class WrongProofError(BasculeError):
    """The proof does not prove its entry."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that carries the entry itself as its extra data."""

    entry: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note."""

    def write(self) -> bytes:
        """Write it as text."""
        lines = [_HEADER, f"extra {_base64(self.entry)}", f"index {self.index}"]
        lines += [_base64(value) for value in self.hashes]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Read a proof. Raises `MalformedProofError`, nothing else, for any bytes."""
        head, separator, checkpoint = data.partition(b"\n\n")
        if not separator or len(data) > MAX_PROOF_BYTES:
            raise MalformedProofError("proof has no checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as exc:
            raise MalformedProofError("proof is not ASCII") from exc
        if len(lines) < 3 or lines[0] != _HEADER or not lines[1].startswith("extra "):
            raise MalformedProofError("proof needs a header, its entry and an index")
        number = lines[2].removeprefix("index ")
        if not number.isdigit() or len(number) > 19 or lines[2] != f"index {int(number)}":
            raise MalformedProofError("proof has no proper index")
        hashes = tuple(_decode(line) for line in lines[3:])
        if len(hashes) > MAX_PROOF_HASHES or any(len(it) != HASH_BYTES for it in hashes):
            raise MalformedProofError("proof has hashes of the wrong number or length")
        return cls(_decode(lines[1][len("extra ") :]), int(number), hashes, checkpoint)

    def check(self, verifier: Verifier) -> Checkpoint:
        """Verify signature and way; gives the checkpoint that holds the entry.

        Raises `WrongProofError`, or what reading the note raises.
        """
        checkpoint = Checkpoint.parse(verifier.open(self.checkpoint))
        if checkpoint.origin != verifier.name:
            raise WrongProofError("the checkpoint is of another log than the key")
        root = inclusion_root(
            leaf_hash(self.entry), self.index, checkpoint.size, self.hashes
        )
        if root != checkpoint.root:
            raise WrongProofError("the entry is not in the log at that place")
        return checkpoint


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedProofError("proof has a line that is not Base64") from exc
    if _base64(found) != text:
        raise MalformedProofError("proof has a line that is not Base64 as we write it")
    return found
