"""The ledger of approvals, on both engines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.storage import approvals, approver_sets, directory, revocations
from bascule.storage.approvals import Recorded
from bascule.storage.approver_sets import PinnedSet
from bascule.storage.store import Store, Transaction
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
FIRST = Recorded(
    sequence=1,
    digest="a" * 64,
    entry_digest="b" * 64,
    owner="platform",
    decision="approve",
    approver="alice@example.com",
    recorded_at=NOW,
    completes=True,
    envelope=b"\x00{}",
)
SECOND = replace(FIRST, sequence=2, digest="c" * 64, decision="reject", completes=False)


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def test_statements_are_given_in_the_order_in_which_they_came(store: Store) -> None:
    for name, fresh in (("time", SECOND), ("files", FIRST), ("time", FIRST)):
        store.run(partial(approvals.add, connector=name, fresh=fresh))
    assert store.read(partial(approvals.of, connector="time")) == (SECOND, FIRST)
    assert store.read(partial(approvals.of, connector="files")) == (FIRST,)
    assert store.read(partial(approvals.of, connector="other")) == ()


def test_each_change_is_told_to_who_serves_and_counted_against_old_copies(
    store: Store,
) -> None:
    def numbers() -> tuple[int, int]:
        return store.read(approvals.generation), store.read(directory.generation)

    before = numbers()
    store.run(partial(approvals.add, connector="time", fresh=FIRST))
    after = numbers()
    assert after == (before[0] + 1, before[1] + 1)
    store.run(partial(approver_sets.pin, fresh=PinnedSet(1, "d" * 64, b"{}"), now=NOW))
    assert numbers() == (after[0] + 1, after[1] + 1)


def test_a_restored_state_lets_no_approval_count(store: Store) -> None:
    store.run(partial(approvals.add, connector="time", fresh=FIRST))
    known = store.read(directory.generation) + 3
    distrust = partial(revocations.distrust_restored, known_generation=known, now=NOW)
    assert store.run(distrust)
    assert store.read(partial(approvals.of, connector="time")) == (
        replace(FIRST, void=True),
    )
    store.run(partial(approvals.add, connector="time", fresh=SECOND))
    assert store.read(partial(approvals.of, connector="time"))[1] == SECOND


def test_of_several_that_add_at_once_each_sees_those_before_it(
    open_state: OpenStore,
) -> None:
    """What is next in a chain is found out and recorded in one transaction."""
    names = [f"{number:064x}" for number in range(6)]

    def work(conn: Transaction, digest: str) -> int:
        place = len(approvals.of(conn, "time")) + 1
        approvals.add(conn, "time", replace(FIRST, sequence=place, digest=digest))
        return place

    def add(digest: str) -> int:
        with contextlib.closing(open_state()) as opened:
            return opened.run(partial(work, digest=digest))

    with ThreadPoolExecutor(len(names)) as pool:
        assert sorted(pool.map(add, names)) == [1, 2, 3, 4, 5, 6]


def test_the_set_that_was_pinned_last_is_in_force(store: Store) -> None:
    assert store.read(approver_sets.pinned) is None
    for number in (1, 2):
        fresh = PinnedSet(number, "d" * 64, b"%d" % number)
        store.run(partial(approver_sets.pin, fresh=fresh, now=NOW))
    assert store.read(approver_sets.pinned) == PinnedSet(2, "d" * 64, b"2")
    store.run(partial(approver_sets.add_vote, digest="e" * 64, envelope=b"x", now=NOW))
    assert store.read(approver_sets.votes) == {"e" * 64: (b"x", NOW)}


def test_documents_and_authors_are_kept_once(store: Store) -> None:
    for content in (b"first", b"second"):
        keep = partial(approvals.keep_document, digest="d" * 64, content=content)
        store.run(keep)
    assert store.read(partial(approvals.document, digest="d" * 64)) == b"first"
    assert store.read(partial(approvals.document, digest="e" * 64)) is None
    for author in ("alice", "bob", "alice"):
        remember = partial(
            approvals.record_author,
            connector="time",
            entry_digest="d" * 64,
            author=author,
            now=NOW,
        )
        store.run(remember)
    found = store.read(partial(approvals.authors, connector="time"))
    assert found == {("d" * 64, "alice"), ("d" * 64, "bob")}
