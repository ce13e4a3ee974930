"""Where tiles lie, and what is in them and in entry bundles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.audit.tile import (
    MAX_ENTRY_BYTES,
    MalformedTileError,
    Packed,
    Tile,
    index_path,
    pack,
    split_entries,
    split_hashes,
)


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000"),
        (7, "007"),
        (999, "999"),
        (1000, "x001/000"),
        (1234067, "x001/x234/067"),
        (999_999, "x999/999"),
        (1_000_000, "x001/x000/000"),
        (2**48, "x281/x474/x976/x710/656"),
    ],
)
def test_indexes_are_written_in_groups_of_three(index: int, path: str) -> None:
    assert index_path(index) == path


def test_tiles_and_bundles_lie_where_c2sp_says() -> None:
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(2, 5, 17).path == "tile/2/005.p/17"
    assert Tile(-1, 1234067).path == "tile/entries/x001/x234/067"
    assert Tile(-1, 0, 255).path == "tile/entries/000.p/255"


@settings(deadline=None)
@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_no_two_indexes_share_a_path(one: int, other: int) -> None:
    assert (index_path(one) == index_path(other)) == (one == other)


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_a_path_reads_back(index: int) -> None:
    assert int(index_path(index).replace("x", "").replace("/", "")) == index


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert split_entries(pack(entries), len(entries)) == entries


@given(
    st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 20), st.integers(0, 20)
)
def test_some_of_packed_entries_are_cut_out_whole(
    entries: list[bytes], one: int, other: int
) -> None:
    start, stop = sorted(min(it, len(entries)) for it in (one, other))
    packed = Packed.of(pack(entries))
    assert packed.parts == entries
    assert packed.cut(start, stop) == pack(entries[start:stop])


def test_the_longest_entry_fits() -> None:
    longest = b"x" * MAX_ENTRY_BYTES
    assert split_entries(pack([longest, b""]), 2) == [longest, b""]
    assert pack([b"abc"]) == b"\x00\x03abc"


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 256))
def test_any_bytes_are_a_bundle_or_refused(data: bytes, width: int) -> None:
    try:
        found = split_entries(data, width)
    except MalformedTileError:
        return
    assert len(found) == width
    assert pack(found) == data


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20))
def test_a_cut_bundle_is_refused(entries: list[bytes]) -> None:
    data = pack(entries)
    for end in range(len(data)):
        with pytest.raises(MalformedTileError):
            split_entries(data[:end], len(entries))


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 9))
def test_any_bytes_are_a_tile_or_refused(data: bytes, width: int) -> None:
    if len(data) == width * 32:
        assert b"".join(split_hashes(data, width)) == data
    else:
        with pytest.raises(MalformedTileError):
            split_hashes(data, width)
