"""Counters that several workers share: each sees the others' and writes its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bascule.gateway.host_counts import (
    KEY_BYTES,
    MAX_COUNT,
    SLOTS,
    HostCounts,
    clear_row,
    make_memory,
)

KEY = bytes(KEY_BYTES)
Rows = tuple[int, list[HostCounts]]


@pytest.fixture
def rows() -> Iterator[Rows]:
    memory = make_memory(3)
    yield memory, [HostCounts(memory, row=it, rows=3, key=KEY) for it in range(3)]
    os.close(memory)


def test_each_sees_what_the_others_count(rows: Rows) -> None:
    _, (first, second, third) = rows
    slot = first.slot("user:alice cli")
    first.add(slot, 2)
    second.add(slot, 3)
    assert [it.elsewhere(slot) for it in (first, second, third)] == [3, 2, 5]
    second.add(slot, -3)
    assert third.elsewhere(slot) == 2


def test_identities_have_places_of_their_own(rows: Rows) -> None:
    _, (first, second, _) = rows
    alice, bob = first.slot("user:alice cli"), first.slot("user:bob cli")
    assert alice != bob
    assert second.slot("user:alice cli") == alice
    first.add(alice, 1)
    assert second.elsewhere(bob) == 0


def test_another_key_gives_other_places(rows: Rows) -> None:
    memory, (first, *_) = rows
    other = HostCounts(memory, row=0, rows=3, key=b"x" * KEY_BYTES)
    names = [f"user:{n} cli" for n in range(20)]
    assert [first.slot(it) for it in names] != [other.slot(it) for it in names]


def test_the_row_of_a_worker_that_is_gone_counts_no_more(rows: Rows) -> None:
    memory, (first, second, _) = rows
    for slot in (0, SLOTS - 1):
        first.add(slot, 1)
        second.add(slot, 1)
    clear_row(memory, 0)
    assert [second.elsewhere(it) for it in (0, SLOTS - 1)] == [0, 0]
    assert [first.elsewhere(it) for it in (0, SLOTS - 1)] == [1, 1]


def test_counts_neither_fall_below_nothing_nor_overflow(rows: Rows) -> None:
    _, (first, second, _) = rows
    first.add(7, -1)
    assert second.elsewhere(7) == 0
    first.add(7, MAX_COUNT + 5)
    assert second.elsewhere(7) == MAX_COUNT
