"""The files that an interpreter is made of, beside its executable, and their digest.

Standard library and shared library of the interpreter's own are locked with it. Not part of
it are what other packages installed beside it, its tests, and bytecode: Python writes that
anew whenever the one who runs it may, so that it would drift by itself. Who can write there
can change what the interpreter does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib"}
_LEFT_OUT_PREFIX = "config-"
"""Of the folder with what extensions are linked against."""


@dataclass(frozen=True, slots=True)
class InterpreterFiles:
    """Where one interpreter's own files lie."""

    executable: Path
    library: Path | None
    """Folder of the standard library."""
    shared: tuple[Path, ...]
    """Shared libraries that are the interpreter's own, as libpython."""

    def signature(self) -> str:
        """Hash what the file system says of all files; changes whenever one is changed.

        Raises `OSError`.
        """
        found = hashlib.sha256()
        for path in (str(self.executable), *self._others()):
            status = os.stat(path)  # noqa: PTH116 - a thousand of them at each launch
            marks = (status.st_dev, status.st_ino, status.st_size, status.st_mode)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found.update(repr((path, marks, times)).encode())
        return found.hexdigest()

    def executable_digest(self) -> str:
        """Hash the executable. Raises `OSError`."""
        return _digest(str(self.executable))

    def library_digest(self) -> str:
        """Hash all other files with their names; empty without any. Raises `OSError`."""
        found = hashlib.sha256()
        count = 0
        for path in self._others():
            found.update(f"{_digest(path)} {self._name(path)}\n".encode())
            count += 1
        return found.hexdigest() if count else ""

    def _name(self, path: str) -> str:
        """Name a file so that it is the same wherever the interpreter lies."""
        if self.library is not None and path.startswith(f"{self.library}/"):
            return f"library/{path[len(str(self.library)) + 1 :]}"
        return f"shared/{os.path.basename(path)}"  # noqa: PTH119

    def _others(self) -> Iterator[str]:
        yield from map(str, sorted(self.shared))
        if self.library is not None:
            yield from _below(str(self.library))


def _below(folder: str) -> Iterator[str]:
    """Give the files of a standard library, links to files included, in order."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _LEFT_OUT and not name.startswith(_LEFT_OUT_PREFIX)
        )
        for name in sorted(names):
            if os.path.isfile(child := f"{path}/{name}"):  # noqa: PTH113
                yield child


def _digest(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()
