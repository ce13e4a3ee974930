"""Lines of processes, however their bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.launch.lines import (
    MAX_SHOWN_CHARACTERS,
    CutLineReader,
    LineReader,
    LineTooLongError,
    shown,
)

LIMIT = 20
pieces = st.lists(st.binary(max_size=30).map(lambda it: it.replace(b"\r", b"\n")))
SECRETS = ("hunter2", "hunter", "pass\x1bword")


def lines_of(data: bytes) -> list[bytes]:
    """Give the complete lines that are not empty."""
    return [line for line in data.split(b"\n")[:-1] if line.strip()]


def fed(reader: LineReader | CutLineReader, data: list[bytes]) -> list[bytes]:
    """Feed pieces, and give the lines that come."""
    return [line for piece in data for line in reader.feed(piece)]


@given(pieces)
def test_lines_do_not_depend_on_how_bytes_are_cut(data: list[bytes]) -> None:
    assert fed(LineReader(1 << 20), data) == lines_of(b"".join(data))


@given(pieces)
def test_a_line_is_too_long_however_it_comes(data: list[bytes]) -> None:
    reader = LineReader(LIMIT)
    longest = max(map(len, b"".join(data).split(b"\n")))
    if longest > LIMIT:
        with pytest.raises(LineTooLongError):
            fed(reader, data)
    else:
        assert fed(reader, data) == lines_of(b"".join(data))


@given(pieces)
def test_of_a_long_line_the_beginning_is_kept(data: list[bytes]) -> None:
    reader = CutLineReader(LIMIT)
    found = fed(reader, data)
    whole = b"".join(data).split(b"\n")
    cut = [line[:LIMIT] for line in whole[:-1]]
    assert found == [line for line in cut if line.strip()]
    assert reader.rest() == whole[-1][:LIMIT]


@given(st.lists(st.binary() | st.sampled_from([it.encode() for it in SECRETS])))
def test_what_is_shown_has_no_secret_and_no_control_character(parts: list[bytes]) -> None:
    text = shown(b" ".join(parts), SECRETS)
    assert text.isprintable()
    assert not any(secret in text for secret in SECRETS)
    assert len(text) <= 10 * (MAX_SHOWN_CHARACTERS + 1)
