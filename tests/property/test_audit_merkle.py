"""The Merkle tree against the definition of RFC 6962, written down once more here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.audit.frontier import Frontier
from bascule.audit.merkle import (
    EMPTY_ROOT,
    Subtree,
    consistency_proof,
    consistent,
    inclusion_proof,
    inclusion_root,
    leaf_hash,
    root_of,
)

LARGEST = 300
EXHAUSTIVE = 20
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(LARGEST)]


def mth(hashes: Sequence[bytes]) -> bytes:
    """MTH of §2.1, on leaf hashes, as its text says it."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def path(m: int, hashes: Sequence[bytes]) -> list[bytes]:
    """PATH of §2.1.1."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*path(m, hashes[:k]), mth(hashes[k:])]
    return [*path(m - k, hashes[k:]), mth(hashes[:k])]


def subproof(m: int, hashes: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of §2.1.2."""
    if m == len(hashes):
        return [] if whole else [mth(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m <= k:
        return [*subproof(m, hashes[:k], whole=whole), mth(hashes[k:])]
    return [*subproof(m - k, hashes[k:], whole=False), mth(hashes[:k])]


@cache
def _subtree(height: int, index: int) -> bytes:
    start = index << height
    assert start + (1 << height) <= LARGEST, "a proof asked beyond the tree"
    return root_of(LEAVES[start : start + (1 << height)])


SUBTREE: Subtree = _subtree
ROOTS = [EMPTY_ROOT, *(mth(LEAVES[:size]) for size in range(1, LARGEST + 1))]


def flips(proof: Sequence[bytes], step: int = 1) -> Iterator[list[bytes]]:
    """Give the proof with one bit flipped: each `step`th bit in turn."""
    for bit in range(0, len(proof) * 256, step):
        place, within = divmod(bit, 256)
        changed = bytearray(proof[place])
        changed[within // 8] ^= 1 << within % 8
        yield [*proof[:place], bytes(changed), *proof[place + 1 :]]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    # RFC 6962 §2.1: MTH({}) = SHA-256().
    text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert EMPTY_ROOT.hex() == text
    assert root_of([]) == EMPTY_ROOT
    assert Frontier().root() == EMPTY_ROOT


def test_a_leaf_is_hashed_apart_from_a_node() -> None:
    # RFC 6962 §2.1: 0x00 before a leaf. The hash of an empty leaf is a published vector.
    text = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"").hex() == text


def test_roots_are_those_of_the_definition() -> None:
    frontier = Frontier()
    for size in range(1, LARGEST + 1):
        frontier.append(LEAVES[size - 1])
        assert root_of(LEAVES[:size]) == ROOTS[size]
        assert frontier.root() == ROOTS[size]


@pytest.mark.parametrize("step", [1, 3, 64, 100, 255, 256])
def test_a_tree_that_grows_by_several_is_the_same_tree(step: int) -> None:
    alone, together = Frontier(), Frontier()
    for start in range(0, LARGEST, step):
        added = LEAVES[start : min(start + step, LARGEST)]
        full = [tile for leaf in added for tile in alone.append(leaf)]
        while added:
            part, added = added[: together.room], added[together.room :]
            full_together = together.extend(part)
            assert [*full_together] == full[: len(full_together)]
            full = full[len(full_together) :]
        assert full == []
        assert together.root() == alone.root() == ROOTS[together.size]
        assert [*together.partial()] == [*alone.partial()]


@pytest.mark.parametrize("size", [*range(1, 70), 127, 128, 129, 255, 256, 257, 299, 300])
def test_inclusion_proofs_are_those_of_the_definition(size: int) -> None:
    for index in range(size):
        assert inclusion_proof(index, size, SUBTREE) == path(index, LEAVES[:size])


@pytest.mark.parametrize("size", [*range(1, 40), 64, 65, 127, 128, 129, 255, 256, 257])
def test_consistency_proofs_are_those_of_the_definition(size: int) -> None:
    for old in range(1, size + 1, 1 if size < 130 else 7):
        expected = subproof(old, LEAVES[:size], whole=True)
        assert consistency_proof(old, size, SUBTREE) == expected


def test_every_inclusion_proof_verifies() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            assert inclusion_root(LEAVES[index], index, size, proof) == ROOTS[size]


def test_consistency_proofs_verify() -> None:
    for size in range(1, LARGEST + 1):
        # All pairs of small trees; of larger ones a coprime step and both ends.
        step = 1 if size <= 100 else 7
        for old in {*range(1, size + 1, step), size}:
            proof = consistency_proof(old, size, SUBTREE)
            assert consistent(old, ROOTS[old], size, ROOTS[size], proof), (old, size)


def test_no_inclusion_proof_survives_a_flipped_bit_in_trees_to_twenty() -> None:
    for size in range(1, EXHAUSTIVE + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            for wrong in flips(proof):
                assert inclusion_root(LEAVES[index], index, size, wrong) != ROOTS[size]
            for (wrong_leaf,) in flips([LEAVES[index]]):
                assert inclusion_root(wrong_leaf, index, size, proof) != ROOTS[size]


def test_no_consistency_proof_survives_a_flipped_bit_in_trees_to_twenty() -> None:
    for size in range(1, EXHAUSTIVE + 1):
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, SUBTREE)
            ends = [ROOTS[old], ROOTS[size]]
            for wrong in flips(proof):
                assert not consistent(old, ends[0], size, ends[1], wrong)
            for first, second in flips(ends):
                assert not consistent(old, first, size, second, proof)


@settings(deadline=None)
@given(size=st.integers(21, LARGEST), data=st.data())
def test_no_proof_of_a_larger_tree_survives_a_flipped_bit(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, SUBTREE)
    for wrong in flips(proof, step=61):
        assert inclusion_root(LEAVES[index], index, size, wrong) != ROOTS[size]
    old = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(old, size, SUBTREE)
    for wrong in flips(proof, step=61):
        assert not consistent(old, ROOTS[old], size, ROOTS[size], wrong)


@settings(deadline=None, max_examples=300)
@given(size=st.integers(1, 64), index=st.integers(-2, 70), other=st.integers(-2, 70))
def test_an_inclusion_proof_holds_at_no_other_index(
    size: int, index: int, other: int
) -> None:
    if not 0 <= index < size:
        with pytest.raises(ValueError, match="not in the tree"):
            inclusion_proof(index, size, SUBTREE)
        return
    proof = inclusion_proof(index, size, SUBTREE)
    found = inclusion_root(LEAVES[index], other, size, proof)
    assert (found == ROOTS[size]) == (other == index)


def test_an_inclusion_proof_holds_for_no_other_length() -> None:
    for size in range(1, EXHAUSTIVE + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            leaf = LEAVES[index]
            for wrong in (proof[:-1], proof[1:], [*proof, bytes(32)], [bytes(32), *proof]):
                if wrong != proof:
                    assert inclusion_root(leaf, index, size, wrong) != ROOTS[size]


def test_a_root_of_another_size_is_not_led_to() -> None:
    for size in range(1, EXHAUSTIVE + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREE)
            for other in range(-1, EXHAUSTIVE + 1):
                found = inclusion_root(LEAVES[index], index, other, proof)
                if other != size and other > 0:
                    assert found != ROOTS[other]
                if other <= index:
                    assert found is None


def test_a_consistency_proof_holds_for_no_other_sizes_or_length() -> None:
    for size in range(1, EXHAUSTIVE + 1):
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, SUBTREE)
            ends = ROOTS[old], ROOTS[size]
            for wrong in (proof[:-1], proof[1:], [*proof, bytes(32)], [bytes(32), *proof]):
                if wrong != proof:
                    assert not consistent(old, ends[0], size, ends[1], wrong)
            for other in range(-1, EXHAUSTIVE + 2):
                if other != old:
                    root = ROOTS[max(other, 0)]
                    assert not consistent(other, root, size, ends[1], proof)


def test_an_empty_old_tree_has_no_proof() -> None:
    # RFC 6962 §2.1.2 asks for 0 < m: nothing can be said of an empty beginning.
    assert not consistent(0, EMPTY_ROOT, 5, ROOTS[5], [])
    with pytest.raises(ValueError, match="old size"):
        consistency_proof(0, 5, SUBTREE)
    with pytest.raises(ValueError, match="old size"):
        consistency_proof(6, 5, SUBTREE)


def test_equal_sizes_of_other_roots_are_not_consistent() -> None:
    assert consistent(7, ROOTS[7], 7, ROOTS[7], [])
    assert not consistent(7, ROOTS[7], 7, ROOTS[8], [])
    assert not consistent(7, ROOTS[7], 7, ROOTS[7], [ROOTS[7]])


@settings(deadline=None)
@given(
    leaf=st.binary(min_size=32, max_size=32),
    index=st.integers(-(2**70), 2**70),
    size=st.integers(-(2**70), 2**70),
    proof=st.lists(st.binary(min_size=32, max_size=32), max_size=70),
)
def test_verifying_any_proof_ends_without_an_error(
    leaf: bytes, index: int, size: int, proof: list[bytes]
) -> None:
    assert inclusion_root(leaf, index, size, proof) != ROOTS[5]
    assert not consistent(index, leaf, size, ROOTS[5], proof)
