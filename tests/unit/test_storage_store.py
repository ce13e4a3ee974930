"""Transactions: all or nothing, one writer, and one error when there is no database."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from bascule.errors import BasculeError
from bascule.storage import counters
from bascule.storage.migrate import migrate
from bascule.storage.schema import user_groups
from bascule.storage.store import StateUnavailableError, Store, open_store
from postgres import OpenStore

NO_WAIT = 0.001


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


@pytest.fixture
def sqlite(path: Path) -> Iterator[Store]:
    with contextlib.closing(open_store(path)) as opened:
        migrate(opened)
        yield opened


def one_more(conn: Connection) -> int:
    """Read, then write what depends on it: lost when two do so at once."""
    number = counters.value(conn, "epoch") + 1
    return counters.advance(conn, "epoch", 0, at_least=number)


def test_what_was_done_is_there_for_others(store: Store, open_state: OpenStore) -> None:
    store.run(partial(counters.advance, name="epoch"))
    with contextlib.closing(open_state()) as other:
        assert other.read(partial(counters.value, name="epoch")) == 1


def test_of_a_transaction_that_fails_nothing_stays(store: Store) -> None:
    def work(conn: Connection) -> None:
        counters.advance(conn, "epoch")
        raise BasculeError("no")

    with pytest.raises(BasculeError, match="no"):
        store.run(work)
    assert store.read(partial(counters.value, name="epoch")) == 0


def test_transactions_of_many_threads_and_stores_come_one_after_another(
    store: Store, open_state: OpenStore
) -> None:
    results: list[int] = []

    def work() -> None:
        with contextlib.closing(open_state()) as mine:
            results.extend(mine.run(one_more) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 41))


def test_one_view_is_read_while_another_writes(store: Store, open_state: OpenStore) -> None:
    with contextlib.closing(open_state()) as writer:

        def work(conn: Connection) -> tuple[int, int]:
            before = counters.value(conn, "epoch")
            writer.run(partial(counters.advance, name="epoch"))
            return before, counters.value(conn, "epoch")

        assert store.read(work) == (0, 0)
    assert store.read(partial(counters.value, name="epoch")) == 1


def test_a_reader_is_not_held_up_by_a_writer(store: Store, open_state: OpenStore) -> None:
    with contextlib.closing(open_state()) as reader:

        def work(conn: Connection) -> int:
            counters.advance(conn, "epoch")
            return reader.read(partial(counters.value, name="epoch"))

        assert store.run(work) == 0


def test_what_only_reads_cannot_write(store: Store) -> None:
    """SQLite's reader has no lock to write with; PostgreSQL's is told to be one."""
    with contextlib.suppress(StateUnavailableError):
        store.read(partial(counters.advance, name="epoch"))
    assert store.read(partial(counters.value, name="epoch")) == 0


def test_what_runs_alone_comes_one_after_another(
    store: Store, open_state: OpenStore
) -> None:
    results: list[int] = []

    def work() -> None:
        with contextlib.closing(open_state()) as mine:
            results.extend(mine.run_alone(one_more) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 21))


def test_a_transaction_that_cannot_begin_is_tried_again(sqlite: Store, path: Path) -> None:
    """The one that holds the database lets go when the first attempt has failed."""
    with contextlib.closing(open_store(path, busy_seconds=NO_WAIT)) as waiting:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        event.listen(waiting.engine, "handle_error", lambda _: holder.rollback())
        assert waiting.run(partial(counters.advance, name="epoch")) == 1
        holder.close()


def test_who_waits_long_for_its_turn_tries_without(
    path: Path,
) -> None:
    """The turn only saves polling: a writer that is stuck must not stop all others."""
    with contextlib.closing(open_store(path, busy_seconds=NO_WAIT)) as store:
        migrate(store)
        with store._in_turn():
            assert store.run(one_more) == 1
        assert store.run(one_more) == 2


def test_a_writer_that_fails_passes_the_turn_on(sqlite: Store) -> None:
    def fails(_: Connection) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        sqlite.run(fails)
    assert sqlite._turn.acquire(blocking=False)


def test_a_database_that_stays_locked_is_not_available(sqlite: Store, path: Path) -> None:
    with contextlib.closing(open_store(path, busy_seconds=NO_WAIT)) as waiting:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailableError, match="locked"):
            waiting.run(partial(counters.advance, name="epoch"))
        holder.close()


def test_work_is_done_in_another_thread_for_an_event_loop(store: Store) -> None:
    def work(conn: Connection) -> tuple[int, int]:
        return threading.get_ident(), counters.advance(conn, "epoch")

    thread, epoch = asyncio.run(store.transact(work))
    assert thread != threading.get_ident()
    assert epoch == 1


def test_a_row_without_what_it_refers_to_is_a_bug_that_shows(store: Store) -> None:
    """Where it shows, the values of the statement do not: they may be hashes of secrets."""
    row = insert(user_groups).values(user_name="nobody", group_name="canary")
    with pytest.raises(IntegrityError) as caught:
        store.run(lambda conn: conn.execute(row))
    assert "canary" not in str(caught.value)


def test_wrong_sql_is_a_bug_that_shows(sqlite: Store) -> None:
    query = select(user_groups.c.user_name, user_groups.c.group_name)
    with pytest.raises(ProgrammingError):
        sqlite.read(lambda conn: conn.execute(query, [{}, {}]))


def test_a_commit_is_on_disk_before_it_returns(sqlite: Store) -> None:
    def pragmas(conn: Connection) -> tuple[object, ...]:
        names = ("synchronous", "journal_mode", "foreign_keys")
        return tuple(conn.execute(text(f"PRAGMA {name}")).scalar() for name in names)

    assert sqlite.read(pragmas) == (2, "wal", 1)


def test_a_file_that_is_no_database_is_told_as_such(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with contextlib.closing(open_store(path)) as damaged:
        for use in (damaged.run, damaged.read):
            with pytest.raises(StateUnavailableError, match="not a database"):
                use(partial(counters.value, name="epoch"))


def test_a_place_without_a_folder_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailableError, match="No such file"):
        open_store(tmp_path / "missing" / "state.db")


@pytest.mark.parametrize("name", ["a?mode=ro", "b%20c", "d#e", "f'g", "ü"])
def test_the_database_lies_where_it_was_put(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with contextlib.closing(open_store(folder / "state.db")) as opened:
        migrate(opened)
        assert (folder / "state.db").stat().st_size > 0
    assert list(tmp_path.iterdir()) == [folder]


def test_no_other_user_can_read_it(path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    with contextlib.closing(open_store(path)) as opened:
        migrate(opened)
        modes = {stat.S_IMODE(it.stat().st_mode) for it in path.parent.iterdir()}
    assert modes == {0o600}
