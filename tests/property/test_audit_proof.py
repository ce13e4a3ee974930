"""Checkpoints and receipts: any bytes are one or refused, and no changed one passes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.audit.checkpoint import Checkpoint, MalformedCheckpointError
from bascule.audit.merkle import inclusion_proof, leaf_hash, root_of
from bascule.audit.note import MalformedNoteError, Signer, UnverifiedNoteError
from bascule.audit.proof import MalformedProofError, Proof, WrongProofError

SIGNER = Signer("example.org/log", bytes(range(32)))
ROOT = bytes(range(32, 64))
REFUSALS = (
    MalformedProofError,
    WrongProofError,
    MalformedNoteError,
    UnverifiedNoteError,
    MalformedCheckpointError,
)


def receipt(size: int, index: int, signer: Signer = SIGNER) -> Proof:
    """Make the receipt of one entry of a log of `size`."""
    entries = [b'{"n":%d}' % number for number in range(size)]
    hashes = [leaf_hash(entry) for entry in entries]

    def subtree(height: int, place: int) -> bytes:
        return root_of(hashes[place << height : (place + 1) << height])

    checkpoint = Checkpoint(signer.name, size, root_of(hashes))
    proof = inclusion_proof(index, size, subtree)
    return Proof(entries[index], index, tuple(proof), signer.sign(checkpoint.text))


def test_a_checkpoint_is_written_in_three_lines() -> None:
    root = base64.b64encode(ROOT).decode()
    assert Checkpoint("example.org/log", 7, ROOT).text == f"example.org/log\n7\n{root}\n"


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_characters="\n"), min_size=1),
    st.integers(0, 10**19 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_reads_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@pytest.mark.parametrize(
    "size", ["", "-1", "+1", "01", "1_0", " 1", "1 ", "1.0", "٣", "²", "1" * 20, "0x1"]
)
def test_a_size_that_is_not_written_the_one_way_is_refused(size: str) -> None:
    root = base64.b64encode(ROOT).decode()
    with pytest.raises(MalformedCheckpointError):
        Checkpoint.parse(f"example.org/log\n{size}\n{root}\n")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_root_of_another_length_is_refused(length: int) -> None:
    root = base64.b64encode(bytes(length)).decode()
    with pytest.raises(MalformedCheckpointError):
        Checkpoint.parse(f"example.org/log\n7\n{root}\n")


@settings(deadline=None)
@given(st.text() | st.builds("\n".join, st.lists(st.text(), min_size=3, max_size=5)))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpointError):
        Checkpoint.parse(text)


@settings(deadline=None)
@given(st.data())
def test_no_checkpoint_has_two_texts(data: st.DataObject) -> None:
    text = Checkpoint("example.org/log", 1203, ROOT).text
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    try:
        found = Checkpoint.parse(changed)
    except MalformedCheckpointError:
        return
    assert found.text == changed


@settings(deadline=None)
@given(st.integers(1, 70), st.data())
def test_a_receipt_carries_its_entry_and_checks(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = receipt(size, index)
    read = Proof.parse(proof.write())
    assert read == proof
    assert read.entry == b'{"n":%d}' % index
    assert read.check(SIGNER.verifier).size == size


def test_a_receipt_is_written_as_c2sp_says() -> None:
    lines = receipt(3, 1).write().decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + base64.b64encode(b'{"n":1}').decode()
    assert lines[2] == "index 1"
    assert [len(base64.b64decode(line)) for line in lines[3:5]] == [32, 32]
    assert lines[5:8] == ["", "example.org/log", "3"]


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_any_bytes_are_a_receipt_or_refused(data: bytes) -> None:
    with pytest.raises(MalformedProofError):
        Proof.parse(data)
    head = b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n"
    with pytest.raises(REFUSALS):
        Proof.parse(head + data + b"\n\n").check(SIGNER.verifier)
    with pytest.raises(REFUSALS):
        Proof.parse(head + b"\n" + data).check(SIGNER.verifier)


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (13, 5)])
def test_no_flipped_bit_of_a_receipt_passes(size: int, index: int) -> None:
    whole = receipt(size, index).write()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(REFUSALS):
            Proof.parse(bytes(changed)).check(SIGNER.verifier)


def test_no_cut_receipt_passes() -> None:
    whole = receipt(5, 2).write()
    for end in range(len(whole)):
        with pytest.raises(REFUSALS):
            Proof.parse(whole[:end]).check(SIGNER.verifier)


@pytest.mark.parametrize("index", ["-1", "+1", "01", "1 ", "1_0", "9" * 20, "", "1e0"])
def test_an_index_that_is_not_written_the_one_way_is_refused(index: str) -> None:
    text = receipt(2, 1).write().replace(b"index 1\n", f"index {index}\n".encode())
    with pytest.raises(MalformedProofError):
        Proof.parse(text)


def test_a_receipt_of_another_log_is_wrong() -> None:
    # The key signs notes of another origin too: the receipt must be of the key's own log.
    checkpoint = Checkpoint("example.org/other", 1, leaf_hash(b"{}"))
    proof = Proof(b"{}", 0, (), SIGNER.sign(checkpoint.text))
    with pytest.raises(WrongProofError):
        proof.check(SIGNER.verifier)


def test_a_receipt_signed_by_another_is_refused() -> None:
    other = Signer(SIGNER.name, bytes(32))
    with pytest.raises(UnverifiedNoteError):
        receipt(4, 2, other).check(SIGNER.verifier)


def test_an_inner_node_is_no_entry() -> None:
    # Second preimage: an entry that reads as a node's two hashes must not pass as one leaf.
    hashes = [leaf_hash(b"a"), leaf_hash(b"b")]
    checkpoint = Checkpoint(SIGNER.name, 2, root_of(hashes))
    proof = Proof(b"".join(hashes), 0, (), SIGNER.sign(checkpoint.text))
    with pytest.raises(WrongProofError):
        proof.check(SIGNER.verifier)


def test_a_receipt_without_bound_is_not_read() -> None:
    proof = receipt(2, 1)
    many = Proof(proof.entry, 1, proof.hashes * 64, proof.checkpoint)
    with pytest.raises(MalformedProofError):
        Proof.parse(many.write())
    with pytest.raises(MalformedProofError):
        Proof.parse(proof.write() + b"\n" * (512 << 10))
