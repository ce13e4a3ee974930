"""The highest generation that was ever seen, kept beside the keys.

A state database that was restored from an older copy is told by it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def read(path: Path) -> int:
    """Give the number in the file, 0 without one."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def raise_to(path: Path, generation: int) -> None:
    """Write the number unless the file has a higher one; durable on return."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if read(path) >= generation:
            return
        fresh = path.with_suffix(".new")
        with open(fresh, "w", encoding="ascii", opener=_private) as file:
            file.write(str(generation))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        os.close(lock)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
