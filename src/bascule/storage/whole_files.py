"""Replacing files whole or not at all, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

NEW_FILE_MODE = 0o600


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes that change files here out, so that no change is lost.

    What was renamed inside is on disk at the end. Raises `OSError`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, *, new_mode: int = NEW_FILE_MODE) -> None:
    """Write a file; a reader sees the old bytes or the new.

    Mode and owner stay; a new file gets `new_mode`. Only inside `alone`. Raises `OSError`.
    """
    fresh = path.with_name(f".{path.name}.new")
    write_like(fresh, content, like=path, new_mode=new_mode)
    try:
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_like(path: Path, content: bytes, *, like: Path, new_mode: int) -> None:
    """Write a file that is to take the place of `like`, with its mode and owner.

    Without a `like` it gets `new_mode`. Only inside `alone`. Raises `OSError`; then there
    is no such file.
    """
    path.unlink(missing_ok=True)  # of a process that was killed; nobody else is here
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, new_mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if like.exists() and not like.is_symlink():
                info = like.stat()
                os.fchown(descriptor, info.st_uid, info.st_gid)
                os.fchmod(descriptor, info.st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
