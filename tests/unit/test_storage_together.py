"""Works that share a transaction mean what they mean alone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DatabaseError

from bascule.errors import BasculeError
from bascule.storage import counters
from bascule.storage.store import StateUnavailableError, Store, Work, open_store
from postgres import OpenStore

ADVANCE = partial(counters.advance, name="epoch")
VALUE = partial(counters.value, name="epoch")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def refuse(conn: Connection) -> None:
    counters.advance(conn, "epoch", 100)
    raise BasculeError("no")


def mistake(conn: Connection) -> None:
    counters.advance(conn, "epoch", 100)
    ask_wrongly(conn)


def ask_wrongly(conn: Connection) -> None:
    conn.execute(text("SELECT no_such_column FROM counters"))


def begun(store: Store) -> list[object]:
    """Count the transactions from now on."""
    found: list[object] = []
    event.listen(store.engine, "begin", found.append)
    return found


async def _behind_another(
    do: Callable[[Work[object]], Awaitable[object]], works: list[Work[object]]
) -> list[object]:
    """Ask for all while another transaction is under way."""
    started, go_on = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        counters.value(conn, "epoch")
        started.set()
        go_on.wait()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(_awaited(do(hold)))
        await asyncio.to_thread(started.wait)
        asked = [asyncio.ensure_future(do(work)) for work in works]
        await asyncio.sleep(0)
        go_on.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert first.result() is None
    return list(found)


async def _awaited(it: Awaitable[object]) -> object:
    return await it


def test_works_that_come_at_the_same_time_share_a_transaction(store: Store) -> None:
    transactions = begun(store)
    found = asyncio.run(_behind_another(store.transact_together, [ADVANCE] * 10))
    assert sorted(map(str, found)) == sorted(str(it) for it in range(1, 11))
    assert len(transactions) == 2


def test_looks_that_come_at_the_same_time_share_a_view(store: Store) -> None:
    store.run(ADVANCE)
    transactions = begun(store)
    found = asyncio.run(_behind_another(store.look_together, [VALUE] * 10))
    assert found == [1] * 10
    assert len(transactions) == 2


def test_a_work_that_fails_is_undone_alone(store: Store, open_state: OpenStore) -> None:
    works: list[Work[object]] = [ADVANCE, refuse, ADVANCE]
    one, two, three = asyncio.run(_behind_another(store.transact_together, works))
    assert (one, three) == (1, 2)
    assert isinstance(two, BasculeError)
    with contextlib.closing(open_state()) as other:
        assert other.read(VALUE) == 2


def test_a_lone_work_that_fails_is_undone(store: Store) -> None:
    with pytest.raises(BasculeError, match="no"):
        asyncio.run(store.transact_together(refuse))
    assert store.read(VALUE) == 0


def test_a_wrong_statement_is_told_to_whose_it_is(store: Store) -> None:
    works: list[Work[object]] = [ADVANCE, mistake, ADVANCE]
    one, two, three = asyncio.run(_behind_another(store.transact_together, works))
    assert (one, three, store.read(VALUE)) == (1, 2, 2)
    assert isinstance(two, (DatabaseError, StateUnavailableError))


def test_a_wrong_question_is_told_to_whose_it_is(store: Store) -> None:
    works: list[Work[object]] = [VALUE, ask_wrongly, VALUE]
    one, two, three = asyncio.run(_behind_another(store.look_together, works))
    assert (one, three) == (0, 0)
    assert isinstance(two, (DatabaseError, StateUnavailableError))


def test_who_gave_up_before_its_turn_has_done_nothing(store: Store) -> None:
    async def give_up() -> None:
        started, go_on = threading.Event(), threading.Event()

        def hold(_: Connection) -> None:
            started.set()
            go_on.wait()

        first = asyncio.ensure_future(store.transact_together(hold))
        await asyncio.to_thread(started.wait)
        second = asyncio.ensure_future(store.transact_together(ADVANCE))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        go_on.set()
        await first
        assert await store.transact_together(ADVANCE) == 1

    asyncio.run(give_up())


def test_works_of_several_event_loops_meet(store: Store) -> None:
    found: list[int] = []

    def ask() -> None:
        found.extend(asyncio.run(store.transact_together(ADVANCE)) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 21))


def test_without_a_database_all_are_told(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database at all, " * 100)
    with contextlib.closing(open_store(path)) as store:
        found = asyncio.run(_told(store))
    assert all(isinstance(it, StateUnavailableError) for it in found)


async def _told(store: Store) -> list[object]:
    works = (store.transact_together(ADVANCE) for _ in range(3))
    return list(await asyncio.gather(*works, return_exceptions=True))
