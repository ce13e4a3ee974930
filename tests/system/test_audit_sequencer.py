"""The tree grows, survives any crash, and takes only what its writers wrote."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.audit.checkpoint import Checkpoint
from bascule.audit.inbox import ChainEnd
from bascule.audit.log import chain_key
from bascule.audit.log_files import SequencerBusyError
from bascule.audit.merkle import leaf_hash, root_of
from bascule.audit.note import Signer
from bascule.audit.openings import pack_openings
from bascule.audit.state import TamperedLogError, TreeError, read_state
from bascule.audit.verify import verify
from bascule.clock import system_entropy
from bascule.errors import BasculeError
from patience import PATIENCE
from system.forked import Forked

TESTS = Path(__file__).parents[1]
BOUNDARIES = [1, 2, 255, 256, 257, 511, 512, 513, 1000]
CRASH_POINTS = ["tiles", "state", "checkpoint", "inbox"]

DIE = """
import os, signal, sys
from pathlib import Path
tests, data, wanted = sys.argv[1:]
sys.path.insert(0, tests)
from audit_logs import new_log
log = new_log(Path(data))
def crash(point):
    if point == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
log.step(crash_point=crash)
"""


GROW = """
from pathlib import Path
from audit_logs import new_log
log = new_log(Path("data"))
for count in (200, 40, 100):
    log.grow(count)
print(*sorted(str(it) for it in log.folder.rglob("*.p/*")))
"""


@pytest.fixture
def log(any_log: LogFolder) -> LogFolder:
    return any_log


@pytest.fixture
def folder_log(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def root(entries: list[bytes]) -> bytes:
    return root_of([leaf_hash(entry) for entry in entries])


def signed(log: LogFolder) -> Checkpoint:
    note = log.files.read("checkpoint")
    return Checkpoint.parse(log.keys.signer.verifier.open(note))


def assert_whole(log: LogFolder) -> None:
    """The tree holds what was written, once and in order, and says so with a signature."""
    assert log.entries() == log.written
    checkpoint = signed(log)
    assert (checkpoint.size, checkpoint.root) == (len(log.written), root(log.written))
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=None).ok


def die_at(log: LogFolder, point: str) -> None:
    child = Forked([sys.executable, "-c", DIE, str(TESTS), str(log.data_dir), point])
    assert child.stderr is not None
    with child.stderr:
        assert child.wait(PATIENCE) == -signal.SIGKILL, child.stderr.read()
    log.lapse()


def test_partial_tiles_are_dropped_below_a_relative_path_too(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", GROW],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    places = ["openings/001", "tile/0/001", "tile/1/000", "tile/entries/001"]
    widths = {"tile/1/000": 1}
    assert child.stdout.split() == [
        f"data/audit/{place}.p/{widths.get(place, 84)}" for place in places
    ]


@pytest.mark.parametrize("size", BOUNDARIES)
def test_a_log_of_any_size_is_taken_up_and_grown(log: LogFolder, size: int) -> None:
    log.grow(size)
    assert_whole(log)
    for count in (1, 254, 2):
        log.grow(count)
        assert_whole(log)


def test_growing_by_ones_over_a_boundary_gives_the_same_tree(log: LogFolder) -> None:
    log.grow(250)
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        for _ in range(12):
            log.fill(1)
            assert sequencer.step() == 1
            assert signed(log).root == root(log.written)
    assert_whole(log)


def test_a_log_grows_over_the_second_level_of_tiles(log: LogFolder) -> None:
    log.grow(65_530)
    log.grow(500)
    assert signed(log).root == root(log.written)
    assert len(log.files.read("tile/1/000")) == 256 * 32
    assert len(log.files.read("tile/2/000.p/1")) == 32
    assert_whole(log)


def test_replaced_partial_tiles_are_removed(log: LogFolder) -> None:
    for count in (10, 20, 300, 200, 7):
        log.grow(count)
    partial = [it for it in log.names() if ".p/" in it]
    size = len(log.written)
    index, width = divmod(size, 256)
    assert partial == [
        f"openings/{index:03}.p/{width}",
        f"tile/0/{index:03}.p/{width}",
        f"tile/1/000.p/{index}",
        f"tile/entries/{index:03}.p/{width}",
    ]


def test_nothing_to_take_in_changes_nothing(log: LogFolder) -> None:
    log.grow(5)
    before = log.files.read("checkpoint")
    assert log.step() == 0
    assert log.files.read("checkpoint") == before


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("before", [0, 200, 256])
def test_a_crash_loses_nothing_and_repeats_nothing(
    log: LogFolder, point: str, before: int
) -> None:
    if before:
        log.grow(before)
    log.fill(100)
    die_at(log, point)
    # What was signed before or by the crash stays true.
    kept = log.files.read("checkpoint")
    log.fill(3)
    log.step()
    assert_whole(log)
    assert log.waiting() == 0
    assert verify(log.files, verifier=log.keys.signer.verifier, kept=kept).ok


def test_crash_after_crash_loses_nothing(log: LogFolder) -> None:
    for point in [*CRASH_POINTS, *reversed(CRASH_POINTS)]:
        log.fill(120)
        die_at(log, point)
    log.step()
    assert_whole(log)


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_verifying_what_a_crash_left_is_no_alarm(log: LogFolder, point: str) -> None:
    log.grow(300)
    log.fill(300)
    die_at(log, point)
    verdict = verify(log.files, verifier=log.keys.signer.verifier, kept=None)
    assert verdict.ok, verdict.problems
    expected = {"tiles": (300, 300), "state": (600, 300)}.get(point, (600, 600))
    assert (verdict.size, verdict.signed_size) == expected


def test_an_error_between_the_steps_is_made_good_by_the_next(log: LogFolder) -> None:
    def fail(point: str) -> None:
        if failing and point == failing[0]:
            failing.pop()
            raise OSError("no space left")

    failing: list[str] = []
    with log.inbox() as inbox, log.sequencer(inbox, crash_point=fail) as sequencer:
        for point in CRASH_POINTS:
            log.fill(90)
            failing.append(point)
            with pytest.raises(OSError, match="no space"):
                sequencer.step()
            log.fill(1)
            sequencer.step()
            assert log.entries() == log.written
    assert_whole(log)


def test_a_sequencer_goes_on_when_places_in_the_inbox_begin_again(log: LogFolder) -> None:
    with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
        for segments in (3, 1, 0, 2, 40):
            for _ in range(segments):
                log.fill(2)
            assert sequencer.step() == 2 * segments
            assert log.entries() == log.written
            assert log.waiting() == 0
        log.fill(1)
        log.fill(1)
        lost = "DELETE FROM SEGMENTS WHERE place = (SELECT min(place) FROM SEGMENTS)"
        log.edit_inbox(lost)
        with pytest.raises(TamperedLogError, match="missing"):
            sequencer.step()


def test_two_sequencers_cannot_run(log: LogFolder) -> None:
    with (
        log.inbox() as inbox,
        log.sequencer(inbox),
        pytest.raises(SequencerBusyError),
        log.sequencer(inbox),
    ):
        pass


def test_a_sequencer_whose_log_another_grew_stops(folder_log: LogFolder) -> None:
    folder_log.grow(3)
    with folder_log.inbox() as inbox, folder_log.sequencer(inbox) as first:
        # Without its lock file, say on a file system without locks.
        folder_log.edit("sequencer.lock", None)
        folder_log.fill(1)
        folder_log.step()
        other = replace(
            folder_log, chain=ChainEnd(folder_log.chain.key, "gateway", "0123456789abcdef")
        )
        other.fill(1)
        with pytest.raises(SequencerBusyError):
            first.step()
    assert folder_log.entries() == folder_log.written[:4]
    folder_log.step()
    assert_whole(folder_log)


def test_writers_are_taken_each_in_its_order(log: LogFolder) -> None:
    other = replace(log, chain=ChainEnd(log.chain.key, "gateway", "ffeeddccbbaa9988"))
    for _ in range(3):
        log.fill(2)
        other.fill(3)
    log.step()
    assert log.entries() == log.written
    assert len(log.written) == 15


def test_a_record_removed_from_the_inbox_is_missed(log: LogFolder) -> None:
    log.grow(4)
    for _ in range(3):
        log.fill(2)
    log.edit_inbox("DELETE FROM SEGMENTS WHERE first = 6")
    with pytest.raises(TamperedLogError, match="missing"):
        log.step()
    assert log.entries() == log.written[:4]


def test_the_first_segment_cannot_be_removed_from_the_inbox(log: LogFolder) -> None:
    log.fill(2)
    log.fill(2)
    log.edit_inbox("DELETE FROM SEGMENTS WHERE first = 0")
    with pytest.raises(TamperedLogError, match="missing"):
        log.step()


@pytest.mark.parametrize(
    "change",
    [
        "leaves = x'000161'",
        "openings = x'0000000161'",
        "count = 3",
        "first = 9",
        "writer = 'cli'",
        "boot = 'ab'",
        "prev = zeroblob(31)",
        "head = zeroblob(32)",
    ],
)
def test_a_changed_segment_is_refused(log: LogFolder, change: str) -> None:
    log.fill(2)
    log.edit_inbox(f"UPDATE SEGMENTS SET {change}")  # noqa: S608
    with pytest.raises(TamperedLogError):
        log.step()
    assert log.entries() == []


def test_no_flipped_bit_of_a_waiting_record_is_taken(log: LogFolder) -> None:
    log.put(b"{}")
    for bit in range(4 * 8):
        leaves = bytearray(b"\x00\x02{}")
        leaves[bit // 8] ^= 1 << bit % 8
        log.edit_inbox(f"UPDATE SEGMENTS SET leaves = x'{leaves.hex()}'")  # noqa: S608
        with pytest.raises(TamperedLogError):
            log.step()


def test_a_segment_forged_without_the_key_is_refused(log: LogFolder) -> None:
    forged = ChainEnd(system_entropy(32), "gateway", "0000000000000000")
    with log.inbox() as inbox:
        inbox.write(forged.segment([b"{}"], pack_openings([b""])))
    with pytest.raises(TamperedLogError):
        log.step()


def test_a_link_to_another_chain_is_refused(log: LogFolder) -> None:
    log.fill(1)
    foreign = replace(log.chain, head=bytes(31) + b"\x01")
    with log.inbox() as inbox:
        inbox.write(foreign.segment([b"{}"], pack_openings([b""])))
    with pytest.raises(TamperedLogError):
        log.step()


def test_a_segment_cannot_be_played_again(log: LogFolder) -> None:
    log.fill(2)
    with log.inbox() as inbox:
        ((_, segment),) = inbox.read(0, 9)
        log.step()
        inbox.write(segment)
        assert log.step() == 0
    assert log.entries() == log.written
    assert log.waiting() == 0


@pytest.mark.parametrize("change", [b"0", b"{}", b"", b"\xff"])
def test_a_changed_state_refuses_to_start(log: LogFolder, change: bytes) -> None:
    log.grow(3)
    log.edit("state", change)
    with pytest.raises(TreeError):
        log.step()


def test_a_state_that_somebody_else_wrote_refuses_to_start(log: LogFolder) -> None:
    log.grow(3)
    log.edit("state", log.files.read("state").replace(b'"size":3', b'"size":2'))
    with pytest.raises(TamperedLogError):
        log.step()


def test_a_missing_state_refuses_to_start(log: LogFolder) -> None:
    log.grow(3)
    log.edit("state", None)
    with pytest.raises(TamperedLogError):
        log.step()


@pytest.mark.parametrize("name", ["tile/0/000.p/44", "tile/entries/001.p/44"])
def test_a_changed_newest_tile_refuses_to_start(log: LogFolder, name: str) -> None:
    log.grow(300)
    name = name.replace("0/000", "0/001")
    data = bytearray(log.files.read(name))
    data[-1] ^= 1
    log.edit(name, bytes(data))
    with pytest.raises(BasculeError):
        log.step()


def test_a_missing_newest_tile_refuses_to_start(log: LogFolder) -> None:
    log.grow(300)
    log.edit("tile/0/001.p/44", None)
    with pytest.raises(TreeError):
        log.step()


def test_the_key_of_another_log_refuses_to_start(log: LogFolder, tmp_path: Path) -> None:
    log.grow(3)
    other = new_log(tmp_path / "other")
    with pytest.raises(TamperedLogError):
        replace(log, keys=other.keys).step()


def test_a_checkpoint_ahead_of_the_log_refuses_to_start(log: LogFolder) -> None:
    log.grow(5)
    old = {it: log.files.read(it) for it in ("state", "tile/0/000.p/5")}
    entries = log.files.read("tile/entries/000.p/5")
    openings = log.files.read("openings/000.p/5")
    log.grow(2)
    # The log is restored from an older copy; the checkpoint stays.
    for name, data in old.items():
        log.edit(name, data)
    log.edit("tile/entries/000.p/5", entries)
    log.edit("openings/000.p/5", openings)
    with pytest.raises(TamperedLogError, match="ahead of the log"):
        log.step()


def test_a_checkpoint_of_another_root_refuses_to_start(log: LogFolder) -> None:
    log.grow(5)
    forked = Checkpoint(log.keys.signer.name, 5, bytes(32))
    log.edit("checkpoint", log.keys.signer.sign(forked.text))
    with pytest.raises(TamperedLogError, match="not the one"):
        log.step()


def test_a_checkpoint_of_another_key_refuses_to_start(log: LogFolder) -> None:
    log.grow(5)
    other = Signer(log.keys.signer.name, system_entropy(32))
    checkpoint = Checkpoint(other.name, 5, root(log.written))
    log.edit("checkpoint", other.sign(checkpoint.text))
    with pytest.raises(TamperedLogError):
        log.step()


def test_a_missing_checkpoint_refuses_to_start(log: LogFolder) -> None:
    log.grow(5)
    log.edit("checkpoint", None)
    with pytest.raises(TamperedLogError, match="missing"):
        log.step()


def test_a_damaged_state_of_the_lock_is_none(folder_log: LogFolder) -> None:
    # The lock file says nothing; only holding it does.
    folder_log.edit("sequencer.lock", b"12345")
    folder_log.grow(1)
    assert_whole(folder_log)


def test_chains_that_ended_are_forgotten(log: LogFolder) -> None:
    for number in range(5):
        boot = f"{number:016x}"
        command = replace(log, chain=ChainEnd(chain_key(log.keys.signer), "cli", boot))
        command.grow(1)
    log.grow(1)
    log.grow(1)
    state = read_state(log.files)
    assert state is not None
    assert [name for name in state.chains if name.startswith("cli ")] == []
    assert_whole(log)
