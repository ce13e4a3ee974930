"""Signed notes and keys: published ones of Go's module log, and what is not one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.audit.note import (
    MalformedNoteError,
    Signer,
    UnverifiedNoteError,
    Verifier,
)
from bascule.clock import system_entropy

# Keys and note of the documentation of golang.org/x/mod/sumdb/note.
SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6R"
    "yyBwJnAM="
)
NOTE = f"{TEXT}\n— PeterNeumann {SIGNATURE}\n".encode()


def signer(name: str = "example.org/log") -> Signer:
    return Signer(name, system_entropy(32))


def test_the_published_note_opens() -> None:
    assert Verifier.parse(VERIFIER).open(NOTE) == TEXT


def test_the_published_key_signs_the_published_note() -> None:
    assert Signer.parse(SIGNER).sign(TEXT) == NOTE
    assert Signer.parse(SIGNER).verifier == Verifier.parse(VERIFIER)


def test_keys_are_written_as_they_were_read() -> None:
    assert Signer.parse(SIGNER).text == SIGNER
    assert Verifier.parse(VERIFIER).text == VERIFIER
    # The key of Go's checksum database.
    golang = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert Verifier.parse(golang).text == golang


def test_line_ends_around_a_key_do_not_matter() -> None:
    assert Verifier.parse(f"{VERIFIER}\n") == Verifier.parse(VERIFIER)
    assert Signer.parse(f" {SIGNER}\r\n") == Signer.parse(SIGNER)


def test_a_seed_is_not_shown() -> None:
    assert "seed" not in repr(Signer.parse(SIGNER))
    assert SIGNER[-20:] not in repr(Signer.parse(SIGNER))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        VERIFIER.replace("c74f20a3", "c74f20a4"),
        VERIFIER.replace("c74f20a3", "C74F20A3"),
        VERIFIER.replace("PeterNeumann", "PeterNeumanm"),
        VERIFIER.replace("PeterNeumann", ""),
        VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        VERIFIER.replace("PeterNeumann", "Peter\x1b[2JNeumann"),
        VERIFIER.replace("PeterNeumann", "Peter\udcffNeumann"),
        VERIFIER[:-4],
        VERIFIER + "AAAA",
        VERIFIER[:-1] + "X",
        VERIFIER.replace("+ARpc", "+Arpc"),
        SIGNER,
    ],
)
def test_what_is_not_quite_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        Verifier.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        VERIFIER,
        SIGNER.replace("PRIVATE", "PUBLIC"),
        SIGNER.replace("c74f20a3", "c74f20a4"),
        SIGNER.replace("PeterNeumann", "PeterNeumanm"),
        SIGNER.replace("PeterNeumann", "Peter\udcffNeumann"),
        SIGNER[:-4],
    ],
)
def test_what_is_not_quite_a_signer_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        Signer.parse(text)


@settings(deadline=None)
@given(st.text(st.characters()) | st.builds("+".join, st.lists(st.text(), max_size=5)))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    for parse in (Verifier.parse, Signer.parse):
        with pytest.raises(MalformedNoteError):
            parse(text)


@settings(deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=32, max_size=32)
)
def test_every_key_reads_back(name: str, seed: bytes) -> None:
    try:
        found = Signer.parse(Signer(name, seed).text)
    except MalformedNoteError:
        assert "+" in name or " " in name or not name.isprintable()
        return
    assert found == Signer(name, seed)
    assert Verifier.parse(found.verifier.text) == found.verifier


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    with pytest.raises((MalformedNoteError, UnverifiedNoteError)):
        Verifier.parse(VERIFIER).open(data)


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.binary(max_size=80))
def test_any_text_with_any_signature_is_refused(text: str, name: str, raw: bytes) -> None:
    signature = base64.b64encode(raw).decode()
    note = f"{text}\n\n— {name} {signature}\n".encode()
    with pytest.raises((MalformedNoteError, UnverifiedNoteError)):
        Verifier.parse(VERIFIER).open(note)


def test_no_flipped_bit_goes_unseen() -> None:
    verifier = Verifier.parse(VERIFIER)
    for bit in range(len(NOTE) * 8):
        changed = bytearray(NOTE)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedNoteError, UnverifiedNoteError)):
            verifier.open(bytes(changed))


@pytest.mark.parametrize("end", range(len(NOTE)))
def test_a_cut_note_is_refused(end: int) -> None:
    with pytest.raises((MalformedNoteError, UnverifiedNoteError)):
        Verifier.parse(VERIFIER).open(NOTE[:end])


def test_what_follows_the_signature_is_refused() -> None:
    for rest in (b"\n", b"x", b"\x00", b"\n\nmore\n"):
        with pytest.raises((MalformedNoteError, UnverifiedNoteError)):
            Verifier.parse(VERIFIER).open(NOTE + rest)


def test_another_key_of_the_same_name_does_not_open() -> None:
    one, other = signer(), signer()
    with pytest.raises(UnverifiedNoteError):
        other.verifier.open(one.sign("text\n"))


def test_the_same_key_under_another_name_does_not_open() -> None:
    one = signer()
    with pytest.raises(UnverifiedNoteError):
        Signer("example.org/other", one.seed).verifier.open(one.sign("text\n"))


def test_a_signature_is_of_its_id() -> None:
    one, other = signer(), signer()
    head, _, signature = one.sign("text\n").decode().rpartition(" ")
    raw = other.verifier.key_id + base64.b64decode(signature)[4:]
    with pytest.raises(UnverifiedNoteError):
        one.verifier.open(f"{head} {base64.b64encode(raw).decode()}\n".encode())


def test_a_signature_does_not_fit_another_text() -> None:
    one = signer()
    with pytest.raises(UnverifiedNoteError):
        one.verifier.open(one.sign("1 record\n").replace(b"1 record", b"2 record"))


def test_signatures_of_others_are_passed_over() -> None:
    # A witness adds a line of its own.
    one, witness = signer(), signer("witness.example/w1")
    line = witness.sign("text\n").decode().split("\n\n")[1]
    note = one.sign("text\n") + line.encode()
    assert one.verifier.open(note) == "text\n"
    assert witness.verifier.open(note) == "text\n"


def test_a_wrong_signature_of_the_key_is_not_outvoted() -> None:
    one = signer()
    good = one.sign("text\n")
    wrong = one.sign("another\n").decode().split("\n\n")[1].encode()
    head, _, line = good.partition(b"\n\n")
    with pytest.raises(UnverifiedNoteError):
        one.verifier.open(head + b"\n\n" + wrong + line)


def test_a_note_without_bound_is_not_read() -> None:
    one = signer()
    with pytest.raises(MalformedNoteError):
        one.verifier.open(one.sign("x" * (64 << 10) + "\n"))
