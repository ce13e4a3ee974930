"""What the log is: the one small file whose swap makes everything else count.

It carries a MAC under a key that is derived from the signing key. What the sequencer signs
follows from this file, so nobody may write it who could not sign.
"""

from __future__ import annotations

import hmac

import msgspec

from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import EMPTY_ROOT
from bascule.errors import BasculeError


class TreeError(BasculeError):
    """The log's files are missing or damaged."""


class TamperedLogError(BasculeError):
    """The log is not what was signed, or its inbox or state is not of its own writers."""


class Chain(msgspec.Struct):
    """How far one run of a writer is in the tree."""

    next: int
    """Number of its next record."""
    head: str
    """Its chain's head, hex."""


class State(msgspec.Struct):
    """The committed tree, and what must be known to grow it."""

    origin: str
    size: int = 0
    root: str = EMPTY_ROOT.hex()
    signed: int = 0
    """Size of the checkpoint that was there when this was written."""
    fence: int = 0
    """Raised by each sequencer that takes over."""
    chains: dict[str, Chain] = {}
    """By `WRITER BOOT`."""
    open: dict[str, str] = {}
    """Allowed calls whose end is not recorded yet: record id → `WRITER BOOT`."""
    copies: list[str] = []
    """Folders that have copies of this log's checkpoints."""
    replaces: list[str] = []
    """Origins of logs that this one was begun in place of."""
    v: int = 1


_decoder = msgspec.json.Decoder(State)


STATE = "state"


def write_state(files: LogFiles, state: State, key: bytes) -> None:
    """Swap the state: atomic, durable on return."""
    body = msgspec.json.encode(state)
    files.write([(STATE, _mac(key, body) + b"\n" + body)])


def read_state(files: LogFiles, key: bytes | None = None) -> State | None:
    """Read the state; None where there is none. Without `key` it is not authenticated.

    Raises `TreeError`, and with `key` `TamperedLogError`.
    """
    try:
        mac, _, body = files.read(STATE).partition(b"\n")
        state = _decoder.decode(body)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TreeError(f"the log's state in `{files}` cannot be read") from exc
    if key is not None and not hmac.compare_digest(mac, _mac(key, body)):
        raise TamperedLogError("the log's state was not written with this log's key")
    return state


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256").hex().encode()
