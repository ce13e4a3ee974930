"""Offline verification: every entry hashed anew, against tiles and what was signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.frontier import Frontier, TileHashes
from bascule.audit.log_files import LogFiles
from bascule.audit.merkle import EMPTY_ROOT, leaf_hash
from bascule.audit.note import Verifier
from bascule.audit.reader import TileReader
from bascule.audit.signing import VERIFIER, read_note
from bascule.audit.state import State, read_state
from bascule.audit.tile import WIDTH
from bascule.errors import BasculeError

Trust = Literal["self", "key", "checkpoint"]
MAX_PROBLEMS = 20


class Verdict(msgspec.Struct, kw_only=True):
    """What was found; the JSON of `audit verify`."""

    origin: str
    size: int
    """Records in the tree."""
    signed_size: int
    """Records that the newest checkpoint covers."""
    pending: int
    """Records beyond that checkpoint: an unfinished tail, no problem."""
    root: str
    """Root of the signed part, hex."""
    trust: Trust
    ok: bool
    problems: list[str]


def verify(
    files: LogFiles,
    *,
    verifier: Verifier | None,
    kept: bytes | None,
    waiting: int = 0,
    problems: Sequence[str] = (),
) -> Verdict:
    """Verify a log, which needs no server, no key and no state.

    `verifier`: the log's key as the caller knows it; None trusts the one beside the log.
    `kept`: a checkpoint that was kept elsewhere, which the log must contain. `waiting` and
    `problems`: how many records are in the inbox, and what is known to be wrong there.
    Raises `BasculeError` when there is no log to verify.
    """
    found = list(problems)
    key = verifier or _own_key(files)
    state, signed = _newest(files, key, found)
    claims = {"the checkpoint": signed}
    if state is not None:
        claims["the state"] = Checkpoint(state.origin, state.size, _bytes(state.root))
    if kept is not None:
        claims["the kept checkpoint"] = _open(kept, key, "kept checkpoint", found)
    size = max(signed.size, 0 if state is None else state.size)
    found += _Check(files, size, claims).problems()
    return Verdict(
        origin=signed.origin,
        size=size,
        signed_size=signed.size,
        pending=size - signed.size + waiting,
        root=signed.root.hex(),
        trust="checkpoint" if kept is not None else "key" if verifier else "self",
        ok=not found,
        problems=found[:MAX_PROBLEMS],
    )


def _own_key(files: LogFiles) -> Verifier:
    try:
        return Verifier.parse(files.read(VERIFIER).decode("ascii"))
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(
            f"there is no log in `{files}`, or it lacks `log.vkey`: give its key by --vkey"
        ) from exc


def _newest(
    files: LogFiles, key: Verifier, problems: list[str]
) -> tuple[State | None, Checkpoint]:
    """Read checkpoint and state so that the state is the later one.

    A server swaps the state, then signs: what was signed by the time of the first look
    must be in the checkpoint, and the checkpoint in the state of the second.
    """
    before = _state(files, problems)
    signed = Checkpoint(key.name, 0, EMPTY_ROOT)
    note = read_note(files)
    if note is not None:
        signed = _open(note, key, "checkpoint", problems)
    elif before is None:
        raise BasculeError(f"there is no log in `{files}`")
    elif before.size:
        problems.append("the log has no checkpoint")
    if before is None:
        return None, signed
    after = _state(files, problems) or before
    if signed.size < before.signed:
        problems.append(f"the checkpoint is older than the one of {before.signed} records")
    if after.size < signed.size:
        problems.append(f"the state is older than the checkpoint: {after.size} records")
    if after.origin != key.name:
        problems.append("the state is of another log than the key")
    return after, signed


def _state(files: LogFiles, problems: list[str]) -> State | None:
    try:
        return read_state(files)
    except BasculeError as exc:
        problems.append(str(exc))
        return None


def _open(note: bytes, key: Verifier, name: str, problems: list[str]) -> Checkpoint:
    try:
        found = Checkpoint.parse(key.open(note))
    except BasculeError as exc:
        problems.append(f"{name}: {exc}")
        return Checkpoint(key.name, 0, EMPTY_ROOT)
    if found.origin != key.name:
        problems.append(f"{name}: it is of another log than the key")
    return found


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


class _Check:
    """Builds the tree from its entries and compares as it goes."""

    def __init__(self, files: LogFiles, size: int, claims: dict[str, Checkpoint]) -> None:
        self._reader = TileReader(files, size)
        self._size = size
        self._claims = claims
        self._frontier = Frontier()
        self._problems: list[str] = []

    def problems(self) -> list[str]:
        self._compare_roots()
        for index in range((self._size + WIDTH - 1) // WIDTH):
            if len(self._problems) >= MAX_PROBLEMS:
                break
            try:
                entries = self._reader.entries(index)
            except BasculeError as exc:
                self._problems.append(f"entries from {index * WIDTH} on: {exc}")
                break
            self._add(entries)
        else:
            self._compare_tiles(self._frontier.partial())
        for name, claim in self._claims.items():
            if claim.size > self._size:
                self._problems.append(
                    f"the log has {self._size} records, {name} says {claim.size}"
                )
        return self._problems

    def _add(self, entries: list[bytes]) -> None:
        """Hash a bundle; the loop is what verification costs."""
        stops = {claim.size for claim in self._claims.values()}
        append = self._frontier.append
        for size, entry in enumerate(entries, self._frontier.size + 1):
            full = append(leaf_hash(entry))
            if full:
                self._compare_tiles(full)
            if size in stops:
                self._compare_roots()

    def _compare_roots(self) -> None:
        """Compare with all that is claimed of the size that was reached."""
        size = self._frontier.size
        for name, claim in self._claims.items():
            if claim.size == size and claim.root != self._frontier.root():
                self._problems.append(
                    f"the first {size} entries do not add up to the root of {name}"
                )

    def _compare_tiles(self, tiles: Iterable[TileHashes]) -> None:
        """Compare with the tiles on disk, from which proofs are made."""
        for tile, hashes in tiles:
            try:
                if self._reader.read(tile) != b"".join(hashes):
                    self._problems.append(f"`{tile.path}` is not what its entries hash to")
            except BasculeError as exc:
                self._problems.append(str(exc))
