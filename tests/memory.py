"""Where the tests write: in memory, where there is room, since no commit waits there.

Nothing that is tested knows the difference: a process that is killed loses as much and as
little, and what PostgreSQL and SQLite do for a commit they do there too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - each test makes a folder of its own below it
ROOM = 6 << 30
"""Bytes that all tests together never need."""


def write_into_memory() -> None:
    """Make memory the place of temporary files, for this process and all that it starts.

    Whoever sets TMPDIR has chosen another place.
    """
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # what was found before does not count


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """Make a folder that is not below `/dev`, where nothing is granted or looked at."""
    with tempfile.TemporaryDirectory(prefix="bascule-", dir="/tmp") as folder:
        yield Path(folder)


def _has_room() -> bool:
    if not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return min(shutil.disk_usage(MEMORY).free, _available()) >= ROOM


def _available() -> int:
    """Give the bytes of memory that are free, or would be."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (found,) = (it.split()[1] for it in lines if it.startswith("MemAvailable:"))
    return int(found) << 10
