"""Files that are on disk when a function says so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_OPEN_FILES = 64


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file, 0600; its bytes are synced, its folder's entry is not yet."""
    write_all_durably([(path, data)])


def write_all_durably(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files, 0600: all of them first, then all syncs, then all renames.

    A sync brings the other files' bytes to disk with it, so that most of them cost little.
    """
    for start in range(0, len(files), _OPEN_FILES):
        part = files[start : start + _OPEN_FILES]
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(_fresh(path)) for path, _ in part]
            for file, (_, data) in zip(opened, part, strict=True):
                file.write(data)
                file.flush()
            for file in opened:
                os.fsync(file.fileno())
        for path, _ in part:
            _fresh_path(path).replace(path)


def _fresh_path(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _fresh(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    return os.fdopen(os.open(_fresh_path(path), flags, 0o600), "wb")


def sync_folder(path: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(base: Path, folder: Path) -> None:
    """Create `folder` and what lies between it and `base`, 0700; durable on return."""
    if folder.is_dir():
        return
    if folder != base:
        make_folders(base, folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)
