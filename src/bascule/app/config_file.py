"""Changing `bascule.toml`: whole or not at all, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bascule.errors import BasculeError

NEW_FILE_MODE = 0o600


def change_text(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by `change` of it; a missing file is an empty one.

    A reader sees the old text or the new. Mode and owner stay; a new file is 0600. Raises
    `BasculeError` when it cannot be read or written, and what `change` raises; the file is
    then as before.
    """
    path = path.resolve()  # a link stays a link
    try:
        with _alone(path.parent):
            before = path.read_bytes().decode() if path.exists() else ""
            _replace(path, change(before).encode())
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"cannot change `{path}`: {exc}") from exc


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes that change files here out, so that no change is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)  # of a process that was killed; nobody else is here
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, NEW_FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                info = path.stat()
                os.fchown(descriptor, info.st_uid, info.st_gid)
                os.fchmod(descriptor, info.st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
