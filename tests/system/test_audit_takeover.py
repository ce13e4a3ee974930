"""What one sequencer leaves behind, by dying or by being replaced, misleads no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.audit.inbox import ChainEnd, Segment
from bascule.audit.log_files import SequencerBusyError
from bascule.audit.restart import restart
from bascule.audit.sequencer import COMMIT_RECORDS, chain_key
from bascule.audit.state import read_state
from bascule.audit.verify import verify
from bascule.clock import system_entropy


class DiedError(Exception):
    """Stands for the end of a process between two steps."""


def dying_at(point: str) -> Callable[[str], None]:
    def die(reached: str) -> None:
        if reached == point:
            raise DiedError

    return die


@pytest.fixture
def log(any_log: LogFolder) -> LogFolder:
    return any_log


@pytest.fixture
def folder_log(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def command(log: LogFolder, boot: str) -> LogFolder:
    """Give the same log as a command writes to it: one run, one record."""
    return replace(log, chain=ChainEnd(chain_key(log.keys.signer), "cli", boot))


def chains(log: LogFolder) -> set[str]:
    state = read_state(log.files)
    assert state is not None
    return set(state.chains)


def assert_whole(log: LogFolder) -> None:
    assert log.entries() == log.written
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=None).ok


def test_a_command_is_not_taken_twice_when_two_runs_die_before_emptying_the_inbox(
    log: LogFolder,
) -> None:
    command(log, "0000000000000001").fill(1)
    for _ in range(2):
        with pytest.raises(DiedError):
            log.step(crash_point=dying_at("state"))
        log.fill(1)
    log.step()
    assert_whole(log)
    assert len(log.written) == 3


def test_a_command_is_forgotten_only_after_its_record_has_left_the_inbox(
    log: LogFolder,
) -> None:
    name = "cli 0000000000000001"
    command(log, name.partition(" ")[2]).fill(1)
    with pytest.raises(DiedError):
        log.step(crash_point=dying_at("state"))
    log.grow(1)
    assert name in chains(log)
    log.grow(1)
    assert name not in chains(log)
    assert_whole(log)


def test_a_server_that_runs_on_forgets_commands_too(log: LogFolder) -> None:
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        command(log, "0000000000000001").fill(1)
        sequencer.step()
        log.fill(1)
        sequencer.step()
    assert chains(log) == {f"gateway {log.chain.boot}"}


def test_chains_of_earlier_runs_are_forgotten_when_told(log: LogFolder) -> None:
    log.grow(1)
    earlier = log.chain.boot
    running = replace(log, chain=ChainEnd(chain_key(log.keys.signer), "gateway", "ff" * 8))
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        sequencer.step()
        sequencer.retire({f"gateway {earlier}"})
        running.fill(1)
        sequencer.step()
    assert chains(log) == {f"gateway {running.chain.boot}"}
    assert earlier not in str(chains(log))
    assert_whole(log)


def test_a_run_that_came_further_without_committing_does_not_cost_the_newest_tiles(
    log: LogFolder,
) -> None:
    log.grow(200)
    log.fill(100)
    with pytest.raises(DiedError):
        log.step(crash_point=dying_at("tiles"))
    assert log.files.read("tile/0/000")
    with log.inbox() as inbox:
        # The next run commits in between, while tile 0 is not full in what it commits.
        later = inbox.read(0, 9)
        inbox.remove(later[-1][0])
        assert isinstance(later[0][1], Segment)
    log.chain.next, log.chain.head = later[0][1].first, later[0][1].prev
    del log.written[200:]
    log.grow(30)
    assert_whole(log)
    log.grow(40)
    assert_whole(log)


def test_a_replaced_sequencer_says_so_and_does_not_call_the_inbox_tampered_with(
    folder_log: LogFolder,
) -> None:
    folder_log.grow(3)
    with folder_log.inbox() as inbox, folder_log.sequencer(inbox) as first:
        # On a file system without locks another one could start.
        (folder_log.folder / "sequencer.lock").unlink()
        folder_log.fill(2)
        folder_log.step()
        folder_log.fill(2)
        with pytest.raises(SequencerBusyError):
            first.step()
    folder_log.step()
    assert_whole(folder_log)


def test_a_long_backlog_is_committed_in_between(log: LogFolder) -> None:
    sizes = []

    def note(point: str) -> None:
        if point == "state":
            state = read_state(log.files)
            assert state is not None
            sizes.append(state.size)

    log.fill(COMMIT_RECORDS * 4)
    log.step(crash_point=note)
    assert len(sizes) >= 2
    assert sizes[-1] == COMMIT_RECORDS * 4
    assert_whole(log)


def test_no_log_is_begun_anew_under_a_command_that_takes_records_in(
    log: LogFolder,
) -> None:
    log.fill(2)
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        with pytest.raises(SequencerBusyError):
            restart(log.place, system_entropy)
        sequencer.step()
    assert_whole(log)
    origin, old = restart(log.place, system_entropy)
    assert (old["origin"], old["size"]) == (log.keys.signer.name, "2")
    assert new_log(log.data_dir).keys.signer.name == origin
