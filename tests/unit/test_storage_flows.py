"""What identities have touched and calls drawn from rates, as the database keeps them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from bascule.clock import UnixTime
from bascule.storage import drawn_calls, touches
from bascule.storage.schema import drawn_calls as drawn_table
from bascule.storage.schema import touches as touches_table
from bascule.storage.store import Store
from bascule.storage.touches import KEPT_SECONDS
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
END = UnixTime(NOW + 3600)


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def touch(
    store: Store,
    until: Mapping[str, int],
    *,
    user: str | None = "user:alice",
    agent: str = "desk",
    now: int = NOW,
) -> None:
    ends = {label: UnixTime(end) for label, end in until.items()}
    store.run(
        lambda conn: touches.touch(
            conn, user=user, agent=agent, until=ends, now=UnixTime(now)
        )
    )


def open_labels(
    store: Store, *, user: str | None = "user:alice", agent: str = "desk", now: int = NOW
) -> dict[str, UnixTime]:
    return store.read(
        lambda conn: touches.open_labels(conn, user=user, agent=agent, now=UnixTime(now))
    )


def draw(
    store: Store,
    *,
    rate: str = "mail",
    holder: bytes = b"h",
    ends_at: int = END,
    calls: int = 100,
    now: int = NOW,
) -> int:
    return store.run(
        lambda conn: drawn_calls.draw(
            conn,
            rate=rate,
            holder_hash=holder,
            ends_at=UnixTime(ends_at),
            calls=calls,
            now=UnixTime(now),
        )
    )


def test_a_touch_counts_until_its_end(store: Store) -> None:
    touch(store, {"web": NOW + 60})
    assert open_labels(store, now=NOW + 59) == {"web": NOW + 60}
    assert open_labels(store, now=NOW + 60) == {}


def test_a_touch_is_of_one_user_through_one_agent(store: Store) -> None:
    touch(store, {"web": NOW + 60})
    touch(store, {"web": NOW + 60}, user=None, agent="robot")
    assert open_labels(store, agent="other") == {}
    assert open_labels(store, user="user:bob") == {}
    assert open_labels(store, user=None) == {}
    assert open_labels(store, user=None, agent="robot") == {"web": NOW + 60}


def test_no_later_touch_ends_a_window_earlier(store: Store) -> None:
    touch(store, {"web": NOW + 60, "mail": NOW + 5})
    touch(store, {"web": NOW + 30, "mail": NOW + 90})
    assert open_labels(store) == {"web": NOW + 60, "mail": NOW + 90}


def test_what_ended_is_forgotten_a_day_later(store: Store) -> None:
    touch(store, {"web": NOW + 60})
    touch(store, {"web": NOW + 90}, agent="other", now=NOW + 60)
    assert open_labels(store, now=NOW + 59) == {"web": NOW + 60}, "a clock that is behind"
    later = NOW + 60 + KEPT_SECONDS
    touch(store, {"web": later + 60}, agent="other", now=later)
    rows = store.read(
        lambda conn: conn.execute(select(func.count()).select_from(touches_table)).scalar()
    )
    assert rows == 1


def test_of_many_touches_at_once_each_is_there(store: Store) -> None:
    def one(number: int) -> None:
        touch(store, {"web": NOW + 60 + number, f"label-{number}": NOW + 60})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(12)))
    found = open_labels(store)
    assert found["web"] == NOW + 71
    assert len(found) == 13


def test_a_period_gives_out_its_calls_and_no_more(store: Store) -> None:
    portions = [draw(store, calls=100) for _ in range(200)]
    assert sum(portions) == 100
    assert portions[0] == 5
    assert draw(store, calls=100) == 0


def test_many_who_draw_at_once_get_no_call_twice(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        portions = list(pool.map(lambda _: draw(store, calls=30), range(60)))
    assert sum(portions) == 30


def test_periods_holders_and_rates_are_counted_apart(store: Store) -> None:
    assert draw(store, calls=1) == 1
    assert draw(store, calls=1) == 0
    assert draw(store, calls=1, holder=b"other") == 1
    assert draw(store, calls=1, rate="other") == 1
    assert draw(store, calls=1, ends_at=END + 3600) == 1


def test_a_limit_that_was_lowered_gives_nothing_more(store: Store) -> None:
    for _ in range(8):
        draw(store, calls=100)
    assert draw(store, calls=10) == 0


def test_periods_that_are_over_are_forgotten_a_day_later(store: Store) -> None:
    draw(store, calls=1)
    draw(store, ends_at=END + 3600, now=END)
    assert draw(store, calls=1) == 0, "a clock that is behind"
    later = END + KEPT_SECONDS
    draw(store, ends_at=later + 3600, now=later)
    draw(store, ends_at=later + 7200, now=later + 3600)
    rows = store.read(
        lambda conn: conn.execute(select(func.count()).select_from(drawn_table)).scalar()
    )
    assert rows == 2


def test_a_window_that_ended_opens_again(store: Store) -> None:
    touch(store, {"web": NOW + 60})
    touch(store, {"web": NOW + 600}, now=NOW + 300)
    assert open_labels(store, now=NOW + 301) == {"web": NOW + 600}
