"""`verify` sees whatever was done to a log, and raises no alarm about one that grows."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.audit.checkpoint import Checkpoint
from bascule.audit.inbox import ChainEnd
from bascule.audit.log_files import FolderFiles
from bascule.audit.merkle import leaf_hash, root_of
from bascule.audit.note import Signer
from bascule.audit.sequencer import state_key
from bascule.audit.state import State, read_state, write_state
from bascule.audit.tile import pack, split_entries
from bascule.audit.verify import Verdict, verify
from bascule.clock import system_entropy
from bascule.errors import BasculeError

SIZE = 600
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> LogFolder:
    log = new_log(tmp_path_factory.mktemp("log"))
    log.grow(SIZE - 100)
    log.grow(100)
    return log


@pytest.fixture
def log(original: LogFolder, tmp_path: Path) -> LogFolder:
    """Give a copy of a whole log, to be spoilt."""
    shutil.copytree(original.data_dir, tmp_path / "data")
    chain = replace(original.chain)
    return LogFolder(tmp_path / "data", original.keys, chain, [*original.written])


def check(log: LogFolder, kept: bytes | None = None) -> Verdict:
    return verify(log.files, verifier=log.keys.signer.verifier, kept=kept)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def note(log: LogFolder) -> bytes:
    return (log.folder / "checkpoint").read_bytes()


def test_a_whole_log_is_fine(log: LogFolder) -> None:
    root = root_of([leaf_hash(entry) for entry in log.written])
    assert check(log) == Verdict(
        origin=log.keys.signer.name,
        size=SIZE,
        signed_size=SIZE,
        pending=0,
        root=root.hex(),
        trust="key",
        ok=True,
        problems=[],
    )


def test_it_is_told_whose_word_is_trusted(log: LogFolder) -> None:
    verifier = log.keys.signer.verifier
    assert verify(log.files, verifier=None, kept=None).trust == "self"
    assert verify(log.files, verifier=verifier, kept=None).trust == "key"
    assert verify(log.files, verifier=verifier, kept=note(log)).trust == "checkpoint"


def test_an_empty_log_is_fine(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.step()
    assert check(log).ok
    assert check(log).size == 0


def test_a_folder_without_a_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(BasculeError, match="there is no log"):
        verify(FolderFiles(tmp_path), verifier=None, kept=None)


FILES = [
    "tile/entries/000",
    "tile/entries/001",
    "tile/entries/002.p/88",
    "tile/0/000",
    "tile/0/001",
    "tile/0/002.p/88",
    "tile/1/000.p/2",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_a_flipped_bit_is_seen(log: LogFolder, name: str, place: int) -> None:
    flip(log.folder / name, place)
    assert not check(log).ok


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_seen(log: LogFolder, name: str) -> None:
    (log.folder / name).unlink()
    assert not check(log).ok


@pytest.mark.parametrize("name", [*FILES, "checkpoint", "state"])
@pytest.mark.parametrize("keep", [0, 1, -1])
def test_a_cut_file_is_seen(log: LogFolder, name: str, keep: int) -> None:
    path = log.folder / name
    path.write_bytes(path.read_bytes()[:keep])
    assert not check(log).ok


def test_every_byte_of_the_checkpoint_counts(log: LogFolder) -> None:
    whole = note(log)
    for place in range(len(whole)):
        flip(log.folder / "checkpoint", place)
        assert not check(log).ok
        (log.folder / "checkpoint").write_bytes(whole)


def change_entries(log: LogFolder, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = log.folder / "tile/entries/001"
    path.write_bytes(pack(change(split_entries(path.read_bytes(), 256))))


@pytest.mark.parametrize(
    "change",
    [
        lambda them: [them[1], them[0], *them[2:]],
        lambda them: them[::-1],
        lambda them: them[1:],
        lambda them: them[:-1],
        lambda them: [*them, b"{}"],
        lambda them: [them[0], *them[:-1]],
        lambda them: [b"{}", *them[1:]],
        lambda them: [],
    ],
    ids=["swap", "reverse", "drop-first", "drop-last", "add", "repeat", "forge", "empty"],
)
def test_changed_entries_are_seen(
    log: LogFolder, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    change_entries(log, change)
    assert not check(log).ok


def test_swapped_bundles_are_seen(log: LogFolder) -> None:
    one, other = (log.folder / f"tile/entries/00{n}" for n in (0, 1))
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    assert not check(log).ok


def test_entries_changed_together_with_their_tiles_are_seen(log: LogFolder) -> None:
    # Whoever can write the files but has no key can make the tree add up, not the root.
    change_entries(log, lambda them: [b"{}", *them[1:]])
    entries = split_entries((log.folder / "tile/entries/001").read_bytes(), 256)
    hashes = [leaf_hash(entry) for entry in entries]
    (log.folder / "tile/0/001").write_bytes(b"".join(hashes))
    upper = log.folder / "tile/1/000.p/2"
    upper.write_bytes(upper.read_bytes()[:32] + root_of(hashes))
    assert not check(log).ok


def test_a_state_that_says_less_is_seen(log: LogFolder) -> None:
    state = read_state(log.files)
    assert state is not None
    state.size = 3
    write_state(log.files, state, bytes(32))
    assert not check(log).ok


def test_a_missing_checkpoint_is_seen(log: LogFolder) -> None:
    (log.folder / "checkpoint").unlink()
    assert not check(log).ok


def test_an_older_checkpoint_of_the_log_is_seen_by_its_state(log: LogFolder) -> None:
    older = note(log)
    log.grow(1)
    log.grow(1)
    (log.folder / "checkpoint").write_bytes(older)
    assert not check(log).ok


def test_another_log_in_its_place_is_seen(log: LogFolder, tmp_path: Path) -> None:
    other = new_log(tmp_path / "other")
    other.grow(SIZE)
    assert verify(other.files, verifier=None, kept=None).ok, "by itself it looks fine"
    assert not verify(other.files, verifier=log.keys.signer.verifier, kept=None).ok


def test_a_wrong_key_of_the_right_name_is_seen(log: LogFolder) -> None:
    stranger = Signer(log.keys.signer.name, system_entropy(32))
    assert not verify(log.files, verifier=stranger.verifier, kept=None).ok


def test_an_older_checkpoint_kept_elsewhere_is_fine(log: LogFolder) -> None:
    kept = note(log)
    log.grow(300)
    verdict = check(log, kept)
    assert verdict.ok, verdict.problems
    assert verdict.trust == "checkpoint"


def forged(log: LogFolder, tmp_path: Path, entries: list[bytes]) -> LogFolder:
    """Make the log anew from other entries, signed with the same key."""
    state = read_state(log.files)
    assert state is not None
    (tmp_path / "fork" / "audit").mkdir(parents=True)
    shutil.copytree(log.data_dir / "keys", tmp_path / "fork" / "keys")
    fork = LogFolder(
        tmp_path / "fork",
        log.keys,
        ChainEnd(log.chain.key, "gateway", "00"),
    )

    write_state(fork.files, State(log.keys.signer.name), state_key(log.keys.signer))
    fork.put(*entries)
    fork.step()
    return fork


@pytest.mark.parametrize("lost", [0, 300, SIZE - 1])
def test_a_log_forked_with_its_own_key_is_seen_by_a_kept_checkpoint(
    log: LogFolder, tmp_path: Path, lost: int
) -> None:
    entries = [*log.written, b"{}"]
    entries[lost] = b'{"forged":1}'
    fork = forged(log, tmp_path, entries)
    assert check(fork).ok, "by itself it looks fine"
    verdict = check(fork, kept=note(log))
    assert not verdict.ok


def test_a_log_cut_with_its_own_key_is_seen_by_a_kept_checkpoint(
    log: LogFolder, tmp_path: Path
) -> None:
    fork = forged(log, tmp_path, log.written[:-1])
    assert check(fork).ok, "by itself it looks fine"
    assert not check(fork, kept=note(log)).ok


def test_an_addition_behind_a_kept_checkpoint_is_fine(
    log: LogFolder, tmp_path: Path
) -> None:
    fork = forged(log, tmp_path, [*log.written, b"{}"])
    assert check(fork, kept=note(log)).ok


@pytest.mark.parametrize("kept", [b"", b"\x00", b"x" * 100_000, b"a\n1\nb\n\n"])
def test_what_is_no_checkpoint_is_seen(log: LogFolder, kept: bytes) -> None:
    assert not check(log, kept).ok


def test_a_kept_checkpoint_of_another_key_is_seen(log: LogFolder) -> None:
    stranger = Signer(log.keys.signer.name, system_entropy(32))
    root = root_of([leaf_hash(entry) for entry in log.written])
    text = Checkpoint(stranger.name, SIZE, root).text
    assert not check(log, stranger.sign(text)).ok


def test_records_that_are_not_signed_yet_are_pending(log: LogFolder) -> None:
    def stop(point: str) -> None:
        if point == "state":
            raise InterruptedError

    log.fill(7)
    with pytest.raises(InterruptedError):
        log.step(crash_point=stop)
    verdict = verify(
        log.files, verifier=log.keys.signer.verifier, kept=None, waiting=log.waiting()
    )
    assert verdict.ok, verdict.problems
    assert (verdict.size, verdict.signed_size) == (SIZE + 7, SIZE)


def test_copied_folders_verify_without_state_and_inbox(log: LogFolder) -> None:
    for name in ("state", "inbox.db", "sequencer.lock"):
        (log.folder / name).unlink()
    verdict = check(log)
    assert verdict.ok, verdict.problems
    assert verdict.size == SIZE


GROW = """
import sys
from pathlib import Path
from audit_logs import new_log
log = new_log(Path(sys.argv[1]))
with log.inbox() as inbox, log.sequencer(inbox) as sequencer:
    while True:
        log.fill(37)
        sequencer.step()
        print(flush=True)
"""


def test_verifying_a_log_that_grows_is_no_alarm(tmp_path: Path) -> None:
    log = new_log(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-c", GROW, str(log.data_dir)],
        env={"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        kept = note(log)
        sizes = set()
        for _ in range(60):
            verdict = check(log, kept)
            assert verdict.ok, verdict.problems
            sizes.add(verdict.size)
            kept = note(log)
            assert child.stdout.readline() == b"\n"
        child.send_signal(signal.SIGKILL)
    assert len(sizes) > 30
