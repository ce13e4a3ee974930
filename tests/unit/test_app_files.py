"""Whose files are ours alone: what another OS user could read, write or replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bascule.app.approver_set import found_set
from bascule.app.files import data_directory, read_text
from bascule.config.model import Approvals
from bascule.errors import BasculeError
from bascule.storage.key_store import FolderKeys
from bascule.storage.private_files import UnsafeFileError

NOBODYS_GROUP = 65534


@pytest.mark.parametrize(
    ("mode", "safe"),
    [(0o700, True), (0o755, True), (0o1777, True), (0o777, False), (0o775, False)],
)
def test_nobody_else_can_replace_the_data_directory(
    tmp_path: Path, mode: int, safe: bool
) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    os.chown(folder, -1, NOBODYS_GROUP)
    folder.chmod(mode)
    if safe:
        assert data_directory(folder / "data").is_dir()
    else:
        with pytest.raises(UnsafeFileError, match="chmod go-w"):
            data_directory(folder / "data")


def test_a_group_that_is_only_ones_own_is_nobody_else(tmp_path: Path) -> None:
    """Where the umask is 002, each user has a group of the same name."""
    folder = tmp_path / "srv"
    folder.mkdir()
    folder.chmod(0o775)
    assert data_directory(folder / "data").is_dir()


def test_another_users_folder_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    data_directory(folder / "data")
    os.chown(folder, 65534, -1)
    with pytest.raises(UnsafeFileError, match="another user"):
        data_directory(folder / "data")


def test_a_link_to_a_device_is_read_for_a_while_and_refused(tmp_path: Path) -> None:
    """Whoever commits to a configuration's repository may put one there."""
    (tmp_path / "allowed_signers").symlink_to("/dev/zero")
    with pytest.raises(BasculeError, match="is larger than"):
        read_text(tmp_path / "allowed_signers")


def test_a_pipe_names_no_signers_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "allowed_signers")
    found = found_set(tmp_path / "bascule.toml", Approvals(), FolderKeys(tmp_path))
    assert "is no file" in found.problem
    assert not found.trusted.signers.principals
