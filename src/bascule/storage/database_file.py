"""The file of a SQLite database, made without harm to who has it open."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path


def database_file(path: Path) -> None:
    """Make the file, 0600, unless it is there; then give it that mode. Raises OSError.

    One that is there is not opened: closing it would drop all locks that this process has
    on it, those of SQLite's other connections included (fcntl(2)). A command that comes and
    goes would then take itself for the last user, and remove the journal to which a running
    server still writes.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    path.chmod(0o600)
