"""A log is put aside in steps, and what a crash leaves is never taken for a fresh start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.audit.log_files import FolderFiles
from bascule.audit.restart import restart
from bascule.audit.state import TamperedLogError, read_state
from bascule.audit.verify import verify
from bascule.clock import system_entropy
from bascule.storage.key_store import FolderKeys


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    made = new_log(tmp_path / "data")
    made.grow(300)
    return made


def dying_entropy(_: int) -> bytes:
    raise InterruptedError


class DyingKeys(FolderKeys):
    """Keys of a process that dies before it makes one."""

    def create(self, name: str, fresh: bytes) -> bytes:
        raise InterruptedError


def test_the_new_log_names_those_that_it_replaces(log: LogFolder) -> None:
    first = log.keys.signer.name
    second, old = restart(log.place, system_entropy)
    third, _ = restart(log.place, system_entropy)
    assert len({first, second, third}) == 3
    state = read_state(log.files)
    assert state is not None
    assert state.replaces == [second, first]
    aside = log.data_dir / old["folder"]
    found = verify(FolderFiles(aside), verifier=log.keys.signer.verifier, kept=None)
    assert found.size == 300


def test_a_crash_before_the_key_is_put_aside_refuses_to_start(log: LogFolder) -> None:
    with pytest.raises(InterruptedError):
        restart(log.place, dying_entropy)
    with pytest.raises(TamperedLogError):
        new_log(log.data_dir).step()
    restart(log.place, system_entropy)
    fresh = new_log(log.data_dir)
    fresh.grow(1)
    assert fresh.entries() == fresh.written


def test_a_crash_after_it_loses_neither_log_nor_origin(log: LogFolder) -> None:
    with pytest.raises(InterruptedError):
        restart(replace(log.place, keys=DyingKeys(log.data_dir / "keys")), system_entropy)
    fresh = new_log(log.data_dir)
    fresh.grow(1)
    state = read_state(fresh.files)
    assert state is not None
    assert state.replaces == [log.keys.signer.name]
    (aside,) = log.data_dir.glob("audit.*")
    assert verify(FolderFiles(aside), verifier=log.keys.signer.verifier, kept=None).ok


def test_copies_of_the_old_log_do_not_hinder_the_new_one(
    log: LogFolder, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    log.fill(1)
    log.step(copies=(copies,))
    restart(log.place, system_entropy)
    fresh = new_log(log.data_dir)
    fresh.fill(2)
    fresh.step(copies=(copies,))
    assert len(list(copies.iterdir())) == 2


def test_a_log_that_was_merely_removed_is_missed_by_its_copies(
    log: LogFolder, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    log.fill(1)
    log.step(copies=(copies,))
    log.data_dir.rename(tmp_path / "gone")
    with pytest.raises(TamperedLogError, match="another log"):
        new_log(log.data_dir).step(copies=(copies,))


def test_an_origin_that_names_a_path_leads_nowhere_else(log: LogFolder) -> None:
    # The state of a damaged log may say anything.
    path = log.folder / "state"
    mac, _, body = path.read_bytes().partition(b"\n")
    name = log.keys.signer.name.encode()
    path.write_bytes(mac + b"\n" + body.replace(name, b"x/../../\\u001b[2J../..%2f"))
    _, old = restart(log.place, system_entropy)
    assert old["folder"] == "audit.2f.300"
    assert (log.data_dir / old["folder"]).is_dir()
