"""Offline verification: every entry hashed anew, against what was signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from bascule.audit.checkpoint import Checkpoint
from bascule.audit.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    consistent,
    node_hash,
    root_of,
)
from bascule.audit.note import Verifier
from bascule.audit.tile import HEIGHT, WIDTH
from bascule.audit.tree import TileReader, Tree, TreeError, read_state
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
    folder: Path, *, verifier: Verifier | None, kept: bytes | None, waiting: int
) -> Verdict:
    """Verify the log in `folder`.

    `verifier`: the log's key as the caller knows it; None trusts the one beside the log.
    `kept`: a checkpoint that was kept elsewhere, which the log must contain. `waiting`: how
    many records are in the inbox. Raises `BasculeError` when there is no log to verify.
    """
    trust: Trust = "checkpoint" if kept is not None else "key" if verifier else "self"
    state = read_state(folder)
    if state is None:
        raise BasculeError(f"there is no log in `{folder}`")
    key = verifier or _own_key(folder)
    problems: list[str] = []
    signed = _read_checkpoint(folder / "checkpoint", key, problems)
    size = max(state.size, signed.size)
    reader = TileReader(folder, size)
    roots = _roots_of_bundles(reader, size, problems)
    root = _root(roots, reader, signed.size, problems)
    if root != signed.root:
        problems.append("the entries do not add up to the signed root")
    if not problems:
        problems += _tile_problems(folder, roots, signed.size)
    if kept is not None and not problems:
        problems += _kept_problems(kept, key, signed, reader)
    if signed.origin != state.origin:
        problems.append("state and checkpoint are of different logs")
    return Verdict(
        origin=signed.origin,
        size=size,
        signed_size=signed.size,
        pending=size - signed.size + waiting,
        root=signed.root.hex(),
        trust=trust,
        ok=not problems,
        problems=problems[:MAX_PROBLEMS],
    )


def _own_key(folder: Path) -> Verifier:
    try:
        return Verifier.parse((folder / "log.vkey").read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"`{folder}` has no `log.vkey`: give the key by --vkey") from exc


def _read_checkpoint(path: Path, key: Verifier, problems: list[str]) -> Checkpoint:
    if not path.exists():
        problems.append("the log has no checkpoint")
        return Checkpoint(key.name, 0, EMPTY_ROOT)
    try:
        found = Checkpoint.parse(key.open(path.read_bytes()))
    except BasculeError as exc:
        problems.append(f"checkpoint: {exc}")
        return Checkpoint(key.name, 0, EMPTY_ROOT)
    if found.origin != key.name:
        problems.append("checkpoint is of another log than its key")
    return found


class _Bundles:
    """Leaf hashes of the last bundle and roots of the full ones before."""

    def __init__(self) -> None:
        self.full: list[bytes] = []
        self.rest: list[bytes] = []


def _roots_of_bundles(reader: TileReader, size: int, problems: list[str]) -> _Bundles:
    """Hash every entry; the inner loop is what verification costs."""
    found = _Bundles()
    sha256 = hashlib.sha256
    for index in range((size + WIDTH - 1) // WIDTH):
        try:
            entries = reader.entries(index)
        except BasculeError as exc:
            problems.append(f"entries from {index * WIDTH}: {exc}")
            return found
        hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
        if len(hashes) == WIDTH:
            found.full.append(root_of(hashes))
        else:
            found.rest = hashes
    return found


def _root(
    bundles: _Bundles, reader: TileReader, size: int, problems: list[str]
) -> bytes | None:
    """Give the root over the first `size` entries, from what was hashed."""
    full, width = divmod(size, WIDTH)
    if full > len(bundles.full) or (
        full == len(bundles.full) and width > len(bundles.rest)
    ):
        problems.append("entries that were signed are missing")
        return None
    rest = bundles.rest[:width]
    if full < len(bundles.full) and width:
        entries = reader.entries(full)[:width]
        rest = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    whole = _root_of_parts(bundles.full[:full], rest)
    return EMPTY_ROOT if whole is None else whole


def _root_of_parts(full: list[bytes], rest: list[bytes]) -> bytes | None:
    """Give the root over the roots of full bundles and the leaf hashes behind them."""
    parts: list[bytes] = []
    for hashes in (full, rest):
        start = 0
        for bit in range(len(hashes).bit_length() - 1, -1, -1):
            if len(hashes) >> bit & 1:
                parts.append(root_of(hashes[start : start + (1 << bit)]))
                start += 1 << bit
    if not parts:
        return None
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _tile_problems(folder: Path, bundles: _Bundles, size: int) -> Iterator[str]:
    """Compare the tiles, from which proofs are made, with what the entries hash to."""
    reader = TileReader(folder, size)
    try:
        for index, root in enumerate(bundles.full[: size // WIDTH]):
            if reader.subtree(HEIGHT, index) != root:
                yield f"tile of entries from {index * WIDTH} is wrong"
        if size and Tree(folder, size).root() != _root_of_parts(
            bundles.full[: size // WIDTH], bundles.rest[: size % WIDTH]
        ):
            yield "partial tiles are wrong"
    except TreeError:
        # A running server may have replaced partial tiles by wider ones meanwhile.
        return
    except BasculeError as exc:
        yield f"tiles: {exc}"


def _kept_problems(
    kept: bytes, key: Verifier, signed: Checkpoint, reader: TileReader
) -> Iterator[str]:
    try:
        old = Checkpoint.parse(key.open(kept))
        if old.size > signed.size:
            yield f"the log has {signed.size} records, the kept checkpoint says {old.size}"
        elif old.size:
            proof = consistency_proof(old.size, signed.size, reader.subtree)
            if not consistent(old.size, old.root, signed.size, signed.root, proof):
                yield "the log is not the one that the kept checkpoint was signed for"
    except BasculeError as exc:
        yield f"kept checkpoint: {exc}"
