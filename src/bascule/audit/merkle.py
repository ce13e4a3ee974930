"""RFC 6962 Merkle trees over SHA-256: hashes, roots and proofs; no storage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

_sha256 = hashlib.sha256

EMPTY_ROOT = _sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""Gives the hash of the perfect subtree of a height and an index, from the left."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry (§2.1)."""
    return _sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    """Hash each of many entries."""
    return [_sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees (§2.1)."""
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Give the root over leaf hashes, or over roots of perfect subtrees of one size."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 2:
        pairs = zip(level[::2], level[1::2], strict=False)
        paired = [_sha256(b"\x01" + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            # The odd one out goes up as it is: the split at the largest power of two.
            paired.append(level[-1])
        level = paired
    return level[0] if len(level) == 1 else node_hash(*level)


def _perfect_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Cut [start, end) into (height, index) of the largest aligned perfect subtrees."""
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append((height, start >> height))
        start += 1 << height
    return found


def range_root(start: int, end: int, subtree: Subtree) -> bytes:
    """Give the root of the part [start, end) of a tree, as it appears in proofs.

    `start` is a multiple of the largest power of two below the part's size, as it is for
    each part that RFC 6962 cuts a tree into.
    """
    if start == end:
        return EMPTY_ROOT
    parts = [subtree(height, index) for height, index in _perfect_subtrees(start, end)]
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _split(size: int) -> int:
    """Give the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Prove that the leaf `index` is in the tree of `size` (§2.1.1), sibling first."""
    if not 0 <= index < size:
        raise ValueError("index is not in the tree")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(range_root(start, middle, subtree))
            start = middle
    return proof[::-1]


def inclusion_root(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes]
) -> bytes | None:
    """Give the root that a proof leads to; None when it does not fit index and size.

    RFC 9162 §2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            root = node_hash(root, sibling)
        node >>= 1
        last >>= 1
    return root if last == 0 else None


def consistency_proof(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """Prove that the tree of size `old` is a beginning of the one of `size` (§2.1.2)."""
    if not 0 < old <= size:
        raise ValueError("old size is not in the tree")
    proof: list[bytes] = []
    start, end, whole = 0, size, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(range_root(middle, end, subtree))
            end = middle
        else:
            proof.append(range_root(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        proof.append(range_root(start, end, subtree))
    return proof[::-1]


def consistent(
    old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Verify a consistency proof (RFC 9162 §2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return old_root == root and not proof
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        node >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == root
