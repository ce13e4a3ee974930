"""The log in PostgreSQL: leases lapse, chains end with their connections, order is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from audit_logs import DatabaseLog, close_databases, new_log, record, use_database
from bascule.audit.inbox import ChainEnd, Inbox
from bascule.audit.log_files import SequencerBusyError
from bascule.audit.record import encode
from bascule.audit.verify import verify
from bascule.audit.writer import LogUnavailableError
from bascule.storage.log_database import DatabaseFiles
from patience import until
from postgres import PostgresServer


@pytest.fixture
def log(
    tmp_path: Path, postgres_server: PostgresServer, migrated_template: str
) -> Iterator[DatabaseLog]:
    data_dir = tmp_path / "data"
    use_database(
        data_dir, postgres_server.url(postgres_server.create(template=migrated_template))
    )
    made = new_log(data_dir)
    assert isinstance(made, DatabaseLog)
    try:
        yield made
    finally:
        close_databases()


def files_of(log: DatabaseLog) -> DatabaseFiles:
    found = log.files
    assert isinstance(found, DatabaseFiles)
    return found


def ended(log: DatabaseLog, inbox: Inbox) -> set[str]:
    chain = f"{log.chain.writer} {log.chain.boot}"
    return set(inbox.ended({chain}))  # type: ignore[attr-defined]


def assert_whole(log: DatabaseLog) -> None:
    assert log.entries() == log.written
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=None).ok


def test_a_lease_that_is_not_renewed_lapses_and_its_holder_writes_nothing(
    log: DatabaseLog,
) -> None:
    old, new = files_of(log), files_of(log)
    old.take()
    with pytest.raises(SequencerBusyError):
        new.take()

    def taken() -> bool:
        try:
            new.take()
        except SequencerBusyError:
            return False
        return True

    until(taken)
    for write in (
        lambda: old.write([("tile/0/000", b"x")]),
        lambda: old.remove(["checkpoint"]),
        old.renew,
    ):
        with pytest.raises(SequencerBusyError):
            write()
    with pytest.raises(FileNotFoundError):
        old.read("tile/0/000")
    old.release()  # must not end the lease of the other
    new.write([("tile/0/000", b"y")])
    assert old.read("tile/0/000") == b"y"


def test_a_lease_that_is_renewed_stays_and_one_given_up_is_free_at_once(
    log: DatabaseLog,
) -> None:
    held, other = files_of(log), files_of(log)
    held.take()
    held.renew()
    with pytest.raises(SequencerBusyError):
        other.take()
    held.release()
    other.take()


@pytest.mark.parametrize("point", ["tiles", "state", "checkpoint", "inbox"])
def test_a_sequencer_that_is_replaced_between_its_steps_loses_and_repeats_nothing(
    log: DatabaseLog, point: str
) -> None:
    """It sleeps there, another takes over and does the same work, and it wakes up."""
    log.grow(200)
    log.fill(100)

    def sleep(reached: str) -> None:
        if reached == point:
            log.lapse()
            other = replace(log)
            other.step()

    with (
        log.inbox() as inbox,
        log.sequencer(inbox, crash_point=sleep) as sequencer,
        pytest.raises(SequencerBusyError),
    ):
        sequencer.step()
    log.lapse()
    log.grow(3)
    assert_whole(log)
    assert log.waiting() == 0


def test_a_chain_ends_with_its_connection_and_not_before(log: DatabaseLog) -> None:
    log.put(encode(record()))
    other = log.place.inbox()
    assert ended(log, other) == set()
    log.hang_up()
    until(lambda: ended(log, other) != set())
    other.close()


def test_a_chain_whose_connection_the_server_cut_is_not_gone_on_with(
    log: DatabaseLog,
) -> None:
    log.put(b"{}")
    with log.inbox() as inbox:
        log.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        )
        for _ in range(2):
            with pytest.raises((LogUnavailableError, psycopg.Error)):
                inbox.write(log.chain.segment([b"{}"], b"\0\0\0\0"))
        fresh = ChainEnd(log.chain.key, "gateway", "0123456789abcdef")
        inbox.write(fresh.segment([b"[]"], b"\0\0\0\0"))
    log.step()
    assert log.entries() == [b"{}", b"[]"]


def test_rows_that_are_committed_late_are_neither_skipped_nor_removed(
    log: DatabaseLog,
) -> None:
    """Numbers are given before the commit: a lower one may appear after a higher one."""
    late = replace(
        log, chain=ChainEnd(log.chain.key, "gateway", "ffeeddccbbaa9988"), writing=[]
    )
    late.put(b'{"late":1}')
    log.execute("UPDATE log_segments SET place = 1000000")
    log.put(b'{"n":1}')
    with log.inbox() as inbox:
        first = inbox.read(0, 1)
        log.execute("UPDATE log_segments SET place = -5 WHERE place = 1000000")
        second = inbox.read(first[-1][0], 9)
        assert {it.chain for _, it in [*first, *second]} == {
            f"gateway {log.chain.boot}",
            "gateway ffeeddccbbaa9988",
        }
        inbox.remove(first[-1][0])
        assert inbox.count() == 1
        inbox.remove(second[-1][0])
        assert inbox.count() == 0
