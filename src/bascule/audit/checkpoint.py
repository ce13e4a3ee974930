"""Checkpoints (C2SP tlog-checkpoint): what a log was at some size."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from bascule.audit.tile import HASH_BYTES
from bascule.errors import BasculeError


class MalformedCheckpointError(BasculeError):
    """The text is no checkpoint that we would write."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Origin, size and root of a log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Write it as the text of a note."""
        root = base64.b64encode(self.root).decode("ascii")
        return f"{self.origin}\n{self.size}\n{root}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note.

        Raises `MalformedCheckpointError`, nothing else, for any text; so that there is one
        way to write a checkpoint, what would be written otherwise is refused.
        """
        lines = text.split("\n")
        if len(lines) != 4 or not lines[0] or not lines[1].isdigit():
            raise MalformedCheckpointError("checkpoint needs origin, size and root")
        if not lines[1].isascii() or len(lines[1]) > 19:
            raise MalformedCheckpointError("checkpoint has no proper size")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except (binascii.Error, ValueError) as exc:
            raise MalformedCheckpointError("checkpoint's root is not Base64") from exc
        found = cls(lines[0], int(lines[1]), root)
        if len(root) != HASH_BYTES or found.text != text:
            raise MalformedCheckpointError("checkpoint is not written the one way")
        return found
