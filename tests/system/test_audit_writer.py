"""Records are durable before anything follows from them, or refused; a log that runs."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log, record
from bascule.audit.inbox import Inbox
from bascule.audit.log import AuditLog, append_command_record, chain_key, settle
from bascule.audit.log_files import SequencerBusyError
from bascule.audit.openings import OpeningSealer, read_opening, unseal
from bascule.audit.record import RecordTooLargeError, decode, encode
from bascule.audit.state import TamperedLogError
from bascule.audit.verify import verify
from bascule.audit.writer import (
    MAX_SEGMENT,
    MAX_WAITING,
    LogUnavailableError,
    Writer,
)
from bascule.clock import system_entropy
from patience import until

TESTS = Path(__file__).parents[1]


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def writer(log: LogFolder, inbox: Inbox, **options: int) -> Writer:
    return Writer(
        inbox,
        OpeningSealer(log.keys.openings, system_entropy),
        chain_key=chain_key(log.keys.signer),
        folder=log.folder,
        name="gateway",
        boot=system_entropy(8).hex(),
        **options,
    )


def audit_log(
    log: LogFolder, inbox: Inbox, problems: list[Exception], *copies: Path
) -> AuditLog:
    return AuditLog(
        log.with_inbox(inbox),
        log.keys,
        system_entropy,
        copies=copies,
        on_problem=problems.append,
    )


@contextmanager
def locked(log: LogFolder) -> Iterator[None]:
    """Hold the inbox's file, as another process may: commits wait."""
    connection = sqlite3.connect(log.folder / "inbox.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def until_refused(append: Callable[[], None]) -> int:
    """Append until nothing is taken any more; gives how many were."""
    taken = 0
    while True:
        try:
            append()
        except LogUnavailableError:
            return taken
        taken += 1


async def durable(writer: Writer, leaf: bytes, opening: bytes | None = None) -> bool:
    """Append and wait for what the callback is told."""
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    writer.append(leaf, told.set_result, opening)
    return await told


def test_a_record_is_in_the_inbox_when_its_callback_is_called(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            for number in range(1, 6):
                assert await durable(it, b"%d" % number)
                assert log.waiting() == number
            it.close()

    asyncio.run(run())
    log.step()
    assert log.entries() == [b"1", b"2", b"3", b"4", b"5"]


def test_records_that_come_during_a_commit_share_the_next_one(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            with locked(log):
                calls = [asyncio.create_task(durable(it, b"%d" % n)) for n in range(6000)]
                await asyncio.sleep(0)
            assert all(await asyncio.gather(*calls))
            segments = inbox.read(0, 10_000)
            # What the writer had in hand when the lock was taken, and all others in two.
            assert len(segments) <= 3
            assert all(segment.count <= MAX_SEGMENT for _, segment in segments)
            it.close()

    asyncio.run(run())
    log.step()
    assert log.entries() == [b"%d" % number for number in range(6000)]


def test_calls_of_one_turn_share_a_commit_with_what_nobody_waits_for(
    log: LogFolder,
) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            it.append(b"0")
            calls = [durable(it, b"%d" % number) for number in range(1, 50)]
            assert all(await asyncio.gather(*calls))
            ((_, segment),) = inbox.read(0, 10)
            assert segment.count == 50
            it.close()

    asyncio.run(run())
    log.step()
    assert log.entries() == [b"%d" % number for number in range(50)]


def test_a_record_that_nobody_waits_for_is_written_by_itself(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            for number in range(1, 4):
                it.append(b"%d" % number)
                await asyncio.to_thread(
                    until, lambda number=number: log.waiting() == number
                )
            it.close()

    asyncio.run(run())
    log.step()
    assert log.entries() == [b"1", b"2", b"3"]


def test_calls_that_never_cease_to_come_are_written_meanwhile(log: LogFolder) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(loop)
            told: asyncio.Future[bool] = loop.create_future()
            it.append(b"first", told.set_result)

            def append() -> None:
                it.append(b"x", lambda _: None)
                if not told.done():
                    loop.call_soon(append)

            append()
            assert await told
            it.close()

    asyncio.run(run())


def test_what_is_being_gathered_is_written_at_the_end(log: LogFolder) -> None:
    told: list[bool] = []

    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            it.append(b"1", told.append)
            it.append(b"2")
            it.close()
            await asyncio.sleep(0)

    asyncio.run(run())
    assert told == [True]
    log.step()
    assert log.entries() == [b"1", b"2"]


def test_a_full_queue_refuses_and_what_it_took_is_kept(log: LogFolder) -> None:
    told: list[bool] = []

    async def run() -> int:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            with locked(log):
                taken = until_refused(lambda: it.append(b"x", told.append))
            it.close()
            await asyncio.sleep(0)
            return taken

    taken = asyncio.run(run())
    assert MAX_WAITING <= taken <= MAX_WAITING + MAX_SEGMENT
    assert told == [True] * taken
    assert log.waiting() == taken


def test_large_openings_fill_the_queue_too(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            opening = bytes(4 << 20)
            with locked(log):
                assert until_refused(lambda: it.append(b"x", None, opening)) <= 20
            it.close()

    asyncio.run(run())


def test_too_little_free_disk_refuses(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox, min_free_bytes=1 << 62)
            it.start(asyncio.get_running_loop())
            assert await durable(it, b"first") is False
            with pytest.raises(LogUnavailableError, match="MiB are free"):
                it.append(b"second")
            it.close()

    asyncio.run(run())
    assert log.waiting() == 0


def test_a_command_is_told_that_its_record_was_not_written(log: LogFolder) -> None:
    with log.inbox() as inbox:
        it = writer(log, inbox, min_free_bytes=1 << 62)
        with pytest.raises(LogUnavailableError):
            it.append_now(b"x")


def test_a_closed_writer_refuses(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            it.close()
            with pytest.raises(LogUnavailableError):
                it.append(b"x")

    asyncio.run(run())


def test_a_record_that_fits_no_leaf_is_refused_and_harms_no_other(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            with pytest.raises(RecordTooLargeError):
                it.append(b"x" * 65_536)
            assert await durable(it, b"y" * 65_535)
            it.close()

    asyncio.run(run())
    log.step()
    assert log.entries() == [b"y" * 65_535]


def test_a_failing_callback_does_not_keep_others_waiting(log: LogFolder) -> None:
    async def run() -> list[object]:
        loop = asyncio.get_running_loop()
        failed: list[object] = []
        loop.set_exception_handler(lambda _, context: failed.append(context["exception"]))
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(loop)
            with locked(log):
                it.append(b"0")
                it.append(b"1", lambda _: 1 / 0)
                call = asyncio.create_task(durable(it, b"2"))
                await asyncio.sleep(0)
            assert await call
            it.close()
        return failed

    (error,) = asyncio.run(run())
    assert isinstance(error, ZeroDivisionError)


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from audit_logs import new_log
from bascule.audit.log import chain_key
from bascule.audit.openings import OpeningSealer
from bascule.audit.writer import LogUnavailableError, Writer
from bascule.clock import system_entropy

log = new_log(Path(sys.argv[1]))
_, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)

async def durable(writer, leaf):
    told = asyncio.get_running_loop().create_future()
    writer.append(leaf, told.set_result)
    return await told

async def run():
    with log.inbox() as inbox:
        writer = Writer(
            inbox, OpeningSealer(log.keys.openings, system_entropy),
            chain_key=chain_key(log.keys.signer), folder=log.folder, name="gateway",
            boot="00", min_free_bytes=0)
        writer.start(asyncio.get_running_loop())
        assert await durable(writer, b"before")
        # From here on files cannot grow: what a full disk does, for this process.
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 << 10, HARD))
        written = 1
        while await durable(writer, b"x" * 30_000):
            written += 1
        # Nor can what is there change, or a probe could find room for itself.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, HARD))
        while writer.problem is None:
            assert not await durable(writer, b"refused")
        try:
            writer.append(b"refused")
        except LogUnavailableError:
            pass
        else:
            raise SystemExit("taken on a full disk")
        resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))
        while writer.problem is not None:
            await asyncio.sleep(0.05)
        assert await durable(writer, b"after")
        writer.close()
        print(written + 1)

asyncio.run(run())
"""


def test_a_full_disk_refuses_and_when_it_ends_records_are_written_again(
    log: LogFolder,
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(log.data_dir)],
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    log.step()
    entries = log.entries()
    assert len(entries) == int(child.stdout)
    assert (entries[0], entries[-1]) == (b"before", b"after")
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=None).ok


SERVE = """
import asyncio, sys
from pathlib import Path
from audit_logs import new_log, record
from bascule.audit.log import AuditLog
from bascule.audit.record import encode
from bascule.clock import system_entropy

async def run():
    log = new_log(Path(sys.argv[1]))
    audit = AuditLog(
        log.place, log.keys, system_entropy, copies=(), on_problem=print)
    loop = asyncio.get_running_loop()
    audit.start(loop)
    number = 0
    while True:
        calls = []
        for _ in range(100):
            told = loop.create_future()
            it = record(number)
            audit.writer.append(encode(it), told.set_result)
            calls.append((it.id, told))
            number += 1
        for name, told in calls:
            assert await told
            print(name, flush=True)

asyncio.run(run())
"""


def serve_and_kill(log: LogFolder, lines: int) -> list[str]:
    """Run a server that writes records, kill it; gives the ids it was told are durable."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(log.data_dir)],
        env={"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline().strip() for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        told += [line.strip() for line in child.stdout if line.endswith("\n")]
    assert all(told), "the server ended by itself"
    return told


def test_no_record_that_was_said_to_be_durable_is_lost_to_a_kill(log: LogFolder) -> None:
    told: list[str] = []
    for lines in (1, 950, 2048, 300):
        told += serve_and_kill(log, lines)
    with log.inbox() as inbox:
        settle(log.place, inbox, log.keys)
    ids = [decode(entry).id for entry in log.entries()]
    assert len(ids) == len(set(ids))
    decided = [decode(it).id for it in log.entries() if decode(it).stage == "decided"]
    assert [name for name in decided if name in set(told)] == told
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=None).ok


def test_what_a_killed_server_left_open_is_closed_as_unknown(log: LogFolder) -> None:
    serve_and_kill(log, 250)

    async def run() -> None:
        problems: list[Exception] = []
        with log.inbox() as inbox:
            audit = audit_log(log, inbox, problems)
            audit.start(asyncio.get_running_loop())
            audit.close()
        assert problems == []

    asyncio.run(run())
    records = [decode(entry) for entry in log.entries()]
    started = {it.id for it in records if it.stage == "decided"}
    ended = [it.parent for it in records if it.stage == "completed"]
    assert len(started) >= 250
    assert sorted(map(str, ended)) == sorted(started)
    for it in records:
        if it.stage == "completed":
            assert it.result
            assert it.result.outcome == "outcome_unknown"
    # Once closed, they are not closed again.
    count = len(records)
    asyncio.run(run())
    assert len(log.entries()) == count


def test_denied_and_completed_calls_are_not_closed_again(log: LogFolder) -> None:
    allowed = record(1)
    closed = record(2, authz=record().authz.__class__(decision="deny"))
    ended = record(3, stage="completed", parent=allowed.id, type="call.end")
    log.put(encode(allowed), encode(closed), encode(ended))
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        sequencer.step()
        assert sequencer.open_calls(sequencer.chains()) == []


@pytest.mark.parametrize("odd", [b"no JSON", b'{"id":1}', b'{},{"id":"x","stage":"y"}'])
def test_a_record_that_cannot_be_read_hides_no_other(odd: bytes, log: LogFolder) -> None:
    first, second = record(1), record(2)
    ended = record(3, stage="completed", parent=first.id, type="call.end")
    log.put(encode(first), odd, encode(second), encode(ended))
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        sequencer.step()
        assert sequencer.open_calls(sequencer.chains()) == [second.id]
    assert log.entries() == log.written


def test_calls_of_this_run_are_not_closed(log: LogFolder) -> None:
    it = record(1)
    log.put(encode(it))
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        sequencer.step()
        assert sequencer.open_calls({"gateway another"}) == []
        assert sequencer.open_calls({f"gateway {log.chain.boot}"}) == [it.id]


def test_a_log_starts_while_a_command_takes_records_in(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox, log.sequencer(inbox) as command:
            audit = audit_log(log, inbox, [])
            loop = asyncio.get_running_loop()
            starting = asyncio.create_task(asyncio.to_thread(audit.start, loop))
            await asyncio.sleep(0)
            command.close()
            await starting
            audit.close()

    asyncio.run(run())


def test_a_running_log_keeps_commands_from_being_its_sequencer(log: LogFolder) -> None:
    async def run() -> None:
        with log.inbox() as inbox:
            audit = audit_log(log, inbox, [])
            audit.start(asyncio.get_running_loop())
            with (
                log.inbox() as other,
                pytest.raises(SequencerBusyError),
                log.sequencer(other),
            ):
                pass
            with log.inbox() as other:
                append_command_record(
                    log.place,
                    other,
                    log.keys,
                    system_entropy,
                    lambda origin, name, boot: record(log=origin, writer=name, boot=boot),
                )
                settle(log.place, other, log.keys)
            audit.close()

    asyncio.run(run())
    assert [decode(entry).writer for entry in log.entries()] == ["cli"]


def test_copies_are_made_and_one_ahead_of_the_log_refuses_to_start(
    log: LogFolder, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    log.fill(4)
    log.step(copies=(copies,))
    backup = {it: it.read_bytes() for it in log.folder.rglob("*") if it.is_file()}
    log.fill(4)
    log.step(copies=(copies,))
    log.grow(0)
    # The whole log, its checkpoint and inbox too, is put back to where it was.
    for path in log.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for path, data in backup.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert verify(log.files, verifier=None, kept=None).ok, "by itself it looks fine"
    with pytest.raises(TamperedLogError, match="ahead of the log"):
        log.step(copies=(copies,))


def test_copies_that_cannot_be_made_are_told_and_stop_nothing(
    log: LogFolder, tmp_path: Path
) -> None:
    # A file where the folder should be: nothing can be written below it.
    blocked = tmp_path / "worm"
    blocked.write_text("")

    async def run() -> list[str]:
        problems: list[Exception] = []
        with log.inbox() as inbox:
            audit = audit_log(log, inbox, problems, blocked)
            audit.start(asyncio.get_running_loop())
            assert await durable(audit.writer, encode(record()))
            audit.writer.close()
            await asyncio.to_thread(until, lambda: bool(audit.late()))
            late = audit.late()
            audit.close()
        assert problems == []
        return late

    (sentence,) = asyncio.run(run())
    assert str(blocked) in sentence
    assert len(log.entries()) == 1


def test_a_copy_of_another_root_refuses_to_start(log: LogFolder, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    log.fill(4)
    log.step(copies=(copies,))
    (copy,) = copies.rglob("4")
    note = copy.read_bytes()
    wrong = note.replace(note.split(b"\n")[2], b"A" * 43 + b"=")
    signed = log.keys.signer.sign(wrong.split(b"\n\n")[0].decode() + "\n")
    copy.write_bytes(signed)
    with pytest.raises(TamperedLogError):
        log.step(copies=(copies,))


def test_copies_that_were_made_and_are_gone_refuse_to_start(
    log: LogFolder, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    for _ in range(2):
        log.fill(4)
        log.step(copies=(copies,))
    copies.rename(tmp_path / "elsewhere")
    copies.mkdir()
    with pytest.raises(TamperedLogError, match="gone"):
        log.step(copies=(copies,))


def test_openings_are_encrypted_and_open_with_their_key(log: LogFolder) -> None:
    secret = b"the record key and a value nobody may read"

    async def run() -> None:
        with log.inbox() as inbox:
            it = writer(log, inbox)
            it.start(asyncio.get_running_loop())
            for number in range(300):
                assert await durable(it, b"%d" % number, secret + b"%d" % number)
            it.close()

    asyncio.run(run())
    log.step()
    for seq in (0, 255, 256, 299):
        sealed = read_opening(log.files, 300, seq)
        assert unseal(log.keys.openings, sealed) == secret + b"%d" % seq
    for path in log.folder.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()
