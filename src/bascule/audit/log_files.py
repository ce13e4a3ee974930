"""Where a log lies: files by the names that C2SP tlog-tiles gives them, and who may write.

The log itself knows names and bytes; that they are files of a folder is said here alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from bascule.audit.durable import make_folders, sync_folder, write_all_durably
from bascule.errors import BasculeError


class SequencerBusyError(BasculeError):
    """Another process is the sequencer."""


class LogFiles(Protocol):
    """The files of one log."""

    def read(self, name: str) -> bytes:
        """Give a file's bytes. Raises FileNotFoundError, or another OSError."""

    def names(self, folder: str) -> list[str]:
        """Give the last parts of the names below a folder; none without it."""

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Replace files: durable on return, each whole or not at all.

        Raises OSError, and `SequencerBusyError` when another process has taken over.
        """

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that may be missing."""

    def take(self) -> None:
        """Become the one who may write, until `release`. Raises `SequencerBusyError`."""

    def renew(self) -> None:
        """Stay the one who may write. Raises `SequencerBusyError` when that is over."""

    def release(self) -> None:
        """Let another process write; nothing when it was not taken."""

    def put_aside(self, name: str) -> str:
        """Begin with no files, still as the one who may write; gives where the old are.

        `name` tells this log from others that were put aside.
        """


class FolderFiles:
    """A log in a folder; who may write is who holds a lock file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None

    def __str__(self) -> str:
        """Give the folder, for messages."""
        return str(self._folder)

    def read(self, name: str) -> bytes:
        """Give a file's bytes. Raises FileNotFoundError, or another OSError."""
        return (self._folder / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        """Give the last parts of the names below a folder; none without it."""
        return [path.name for path in (self._folder / folder).glob("*")]

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Replace files: durable on return, each whole or not at all."""
        placed = [(self._folder / name, data) for name, data in files]
        folders = {path.parent for path, _ in placed}
        for folder in folders:
            make_folders(self._folder, folder)
        write_all_durably(placed)
        for folder in folders:
            sync_folder(folder)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that may be missing, and the folders that this empties."""
        for name in names:
            path = self._folder / name
            path.unlink(missing_ok=True)
            folder = path.parent
            if folder != self._folder and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def take(self) -> None:
        """Become the one who may write; gone with the process at the latest."""
        path = self._folder / "sequencer.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise SequencerBusyError("another process writes this log") from exc
        self._lock = descriptor

    def renew(self) -> None:
        """Stay the one who may write: nothing to do, the lock lasts."""

    def release(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def put_aside(self, name: str) -> str:
        """Rename the folder, inbox and all, and make a new one."""
        aside = self._free(f"{self._folder.name}.{name}")
        self._folder.rename(aside)
        self._folder.mkdir(mode=0o700)
        sync_folder(self._folder.parent)
        return aside.name

    def _free(self, name: str) -> Path:
        """Give a path that nothing has: the name, or the name with a number behind it."""
        path, number = self._folder.with_name(name), 1
        while path.exists():
            number += 1
            path = self._folder.with_name(f"{name}-{number}")
        return path
