"""Touches and drawn calls, as several workers share them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from bascule.clock import UnixTime
from bascule.decision.facts import Principal
from bascule.decision.rates import Share
from bascule.gateway.callers import StateUnconfirmedError
from bascule.gateway.drawn_calls import DrawnCalls
from bascule.gateway.touches import SLACK_SECONDS, Touches
from bascule.storage.store import Store, open_store
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
ALICE = Principal("user:alice", "desk")
WEB = {"web": 600}
HOUR = Share("mail", b"alice", UnixTime(NOW + 3600), 100)


@pytest.fixture
def stores(open_state: OpenStore) -> Iterator[tuple[Store, Store]]:
    """Open the state as two processes do."""
    with contextlib.closing(open_state()) as one, contextlib.closing(open_state()) as other:
        yield one, other


def later(seconds: int) -> UnixTime:
    return UnixTime(NOW + seconds)


def lose(store: Store) -> None:
    """Let the state hold nothing any more, as a failed disk would."""
    for table in ("touches", "drawn_calls"):
        store.run(lambda conn, table=table: conn.execute(text(f"DROP TABLE {table}")))


def test_a_touch_is_seen_by_the_next_call_anywhere(stores: tuple[Store, Store]) -> None:
    one, other = map(Touches, stores)

    async def course() -> None:
        assert await other.of(ALICE, ["web"], NOW) == frozenset()
        await one.touch(ALICE, WEB, NOW)
        for it in (one, other):
            assert await it.of(ALICE, ["web", "mail"], NOW) == {"web"}
            assert (
                await it.of(Principal("user:alice", "phone"), ["web"], NOW) == frozenset()
            )
            assert await it.of(Principal("user:bob", "desk"), ["web"], NOW) == frozenset()

    asyncio.run(course())


def test_labels_that_begin_no_flow_do_not_count(stores: tuple[Store, Store]) -> None:
    one, other = map(Touches, stores)

    async def course() -> None:
        await one.touch(ALICE, {"web": 600, "old": 600}, NOW)
        assert await other.of(ALICE, ["web"], NOW) == {"web"}
        assert await other.of(ALICE, [], NOW) == frozenset()

    asyncio.run(course())


def test_a_window_lasts_its_time_from_the_last_touch(stores: tuple[Store, Store]) -> None:
    one, other = map(Touches, stores)

    async def course() -> None:
        for at in range(0, 600, 7):
            await one.touch(ALICE, WEB, later(at))
        last = at
        for it in (one, other):
            assert await it.of(ALICE, ["web"], later(last + 600)) == {"web"}
            ended = later(last + 600 + SLACK_SECONDS + 1)
            assert await it.of(ALICE, ["web"], ended) == frozenset()

    asyncio.run(course())


def test_what_was_touched_a_moment_ago_is_not_written_again(
    stores: tuple[Store, Store],
) -> None:
    touched = Touches(stores[0])

    async def course() -> None:
        await touched.touch(ALICE, WEB, NOW)
        lose(stores[1])
        await touched.touch(ALICE, WEB, later(SLACK_SECONDS))
        assert await touched.of(ALICE, ["web"], NOW) == {"web"}
        with pytest.raises((StateUnconfirmedError, ProgrammingError)):
            await touched.touch(ALICE, WEB, later(SLACK_SECONDS + 1))

    asyncio.run(course())


def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "state.db"
    store = open_store(place)
    place.write_bytes(b"no database" * 1000)

    async def course() -> None:
        touched, drawn = Touches(store), DrawnCalls(store)
        with pytest.raises(StateUnconfirmedError):
            await touched.of(ALICE, ["web"], NOW)
        with pytest.raises(StateUnconfirmedError):
            await touched.touch(ALICE, WEB, NOW)
        with pytest.raises(StateUnconfirmedError):
            await drawn.take([HOUR], NOW)
        touched.touch_again(ALICE, WEB, NOW)

    asyncio.run(course())


def test_a_call_counts_from_its_end(stores: tuple[Store, Store]) -> None:
    one, other = map(Touches, stores)

    async def course() -> None:
        await one.touch(ALICE, WEB, NOW)
        one.touch_again(ALICE, WEB, later(300))
        one._threads.shutdown()
        assert await other.of(ALICE, ["web"], later(300 + 600)) == {"web"}

    asyncio.run(course())


async def taken(drawn: DrawnCalls, share: Share, times: int) -> int:
    """Count how many of so many calls there are."""
    return [await drawn.take([share], NOW) for _ in range(times)].count({})


def test_workers_together_give_out_no_more_than_there_is(
    stores: tuple[Store, Store],
) -> None:
    one, other = map(DrawnCalls, stores)

    async def course() -> None:
        counts = await asyncio.gather(
            *(taken(it, HOUR, 30) for it in (one, other) for _ in range(4))
        )
        assert sum(counts) == HOUR.calls
        assert await one.take([HOUR], NOW) == {"mail": HOUR.ends_at}
        assert await DrawnCalls(stores[0]).take([HOUR], NOW) == {"mail": HOUR.ends_at}

    asyncio.run(course())


def test_little_lies_unused_with_others(stores: tuple[Store, Store]) -> None:
    one, other = map(DrawnCalls, stores)

    async def course() -> None:
        assert await taken(one, HOUR, 1) == 1
        assert await taken(other, HOUR, 200) == HOUR.calls - HOUR.calls // 20

    asyncio.run(course())


def test_a_call_that_one_rate_refuses_costs_the_others_nothing(
    stores: tuple[Store, Store],
) -> None:
    drawn = DrawnCalls(stores[0])
    single = Share("single", b"alice", UnixTime(NOW + 60), 1)

    async def course() -> None:
        assert await drawn.take([HOUR, single], NOW) == {}
        for _ in range(300):
            assert await drawn.take([HOUR, single], NOW) == {"single": single.ends_at}
        assert await taken(drawn, HOUR, 300) == HOUR.calls - 1

    asyncio.run(course())


def test_periods_holders_and_limits_are_apart(stores: tuple[Store, Store]) -> None:
    drawn = DrawnCalls(stores[0])
    few = Share("mail", b"alice", UnixTime(NOW + 3600), 2)

    async def course() -> None:
        assert await taken(drawn, few, 3) == 2
        for share in (
            Share("mail", b"bob", few.ends_at, 2),
            Share("mail", b"alice", UnixTime(NOW + 7200), 2),
            Share("other", b"alice", few.ends_at, 2),
        ):
            assert await taken(drawn, share, 3) == 2
        # A limit that was raised goes on from what was used.
        assert await taken(drawn, Share("mail", b"alice", few.ends_at, 5), 9) == 3

    asyncio.run(course())
