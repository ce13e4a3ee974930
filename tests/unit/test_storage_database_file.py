"""Files of SQLite databases that several connections and processes share."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bascule.storage.database_file import database_file
from bascule.storage.inbox import SqliteInbox
from bascule.storage.store import open_store

COMMAND = """
import sys
from pathlib import Path
from bascule.storage.inbox import SqliteInbox
inbox = SqliteInbox(Path(sys.argv[1]))
inbox.probe()
inbox.close()
"""


def test_a_command_leaves_the_journal_to_a_server_that_has_opened_the_file_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inbox.db"
    inbox = SqliteInbox(path)
    inbox.probe()
    # A server does so when it records a reload.
    SqliteInbox(path).close()
    subprocess.run([sys.executable, "-c", COMMAND, str(path)], check=True)
    assert path.with_name("inbox.db-wal").exists()
    inbox.probe()
    assert inbox.count() == 0
    inbox.close()


def test_a_file_is_for_its_user_alone_whoever_made_it(tmp_path: Path) -> None:
    made, found = tmp_path / "made.db", tmp_path / "found.db"
    found.touch(0o644)
    for path in (made, found):
        open_store(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(0o755)
    with pytest.raises(OSError, match="no file"):
        database_file(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
