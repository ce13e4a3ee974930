"""Where keys lie: as private files, or wrapped in the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from bascule.errors import BasculeError
from bascule.storage import durable
from bascule.storage.private_files import refuse_readable_by_others


class KeyStore(Protocol):
    """Small secrets by name. What is written is durable on return."""

    def names(self, prefix: str) -> list[str]:
        """Give the names that begin so, in order."""

    def read(self, name: str) -> bytes | None:
        """Give a key; None without one of that name. Raises `BasculeError`."""

    def create(self, name: str, fresh: bytes) -> bytes:
        """Give a key; `fresh` becomes the key when there is none. One wins."""

    def write(self, name: str, content: bytes) -> None:
        """Replace a key, or make it."""

    def remove(self, name: str) -> None:
        """Remove a key that may be missing; it does not come back."""

    def rename(self, name: str, to: str) -> None:
        """Give a key another name, which none may have."""

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Hold a lock of that name against other processes and threads."""


class FolderKeys:
    """Keys as files, 0600, in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, prefix: str) -> list[str]:
        """Give the names that begin so, in order."""
        found = (path.name for path in self._folder.glob(f"{prefix}*"))
        return sorted(name for name in found if not name.endswith((".lock", ".new")))

    def read(self, name: str) -> bytes | None:
        """Give a key. Raises `UnsafeFileError` when others can read it."""
        path = self._folder / name
        try:
            refuse_readable_by_others(path)
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise BasculeError(f"cannot read `{path}`: {exc.strerror}") from exc

    def create(self, name: str, fresh: bytes) -> bytes:
        """Give a key; `fresh` becomes the key when there is none."""
        with self.alone(f"{name}.make"):
            found = self.read(name)
            if found is None:
                self.write(name, fresh)
        return fresh if found is None else found

    def write(self, name: str, content: bytes) -> None:
        """Replace a key, or make it."""
        durable.write(self._folder / name, content)

    def remove(self, name: str) -> None:
        """Remove a key that may be missing; after a crash it does not come back."""
        durable.remove(self._folder / name)

    def rename(self, name: str, to: str) -> None:
        """Give a key another name, which none may have."""
        path = self._folder / to
        if path.exists():
            raise BasculeError(f"there is a key `{path}` already")
        (self._folder / name).rename(path)
        durable.sync_folder(self._folder)

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold a lock file, which goes with the process at the latest."""
        with durable.locked(self._folder / f"{what}.lock"):
            yield
