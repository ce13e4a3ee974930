"""Installed distributions held against the lists of files that came with them (RECORD).

The format is that of the Python packaging user guide, "Recording installed projects". What
an installer writes itself is checked as well; it is left out of the digest only, so that
this is the same wherever the same wheels are installed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from bascule.lock import bytecode, wheel_records
from bascule.lock.declared import Drift

NOTHING = "nothing"
UNLISTED = "no file: no list of an installed package has it"
_OF_THE_INTERPRETER = (".pth", "sitecustomize.py", "usercustomize.py")
_LIST = ".dist-info/RECORD"
_SHEBANG = b"#!"


@dataclass(frozen=True)
class Installed:
    """Some of the packages in a folder (`site-packages`)."""

    folder: Path
    names: frozenset[str]
    """Normalised. Lists of others count for nothing: one that somebody has added would
    excuse any file in these packages' folders, and be in no digest."""

    @cached_property
    def infos(self) -> dict[str, Path]:
        """Give the `.dist-info` folders of these packages, by `NAME==VERSION`."""
        found = wheel_records.distributions(self.folder)
        return {key: it for key, it in found.items() if _name(key) in self.names}

    def versions(self, name: str) -> list[str]:
        """Give the versions that are installed of a package; one, if all is well."""
        return [key.removeprefix(f"{name}==") for key in self.infos if _name(key) == name]

    @cached_property
    def _recorded(self) -> frozenset[str]:
        """Give all paths whose content a list knows, and the lists. Raises `LockError`."""
        lists = map(wheel_records.read, self.infos.values())
        return frozenset(
            it.path
            for recorded in lists
            for it in recorded
            if it.sha256 or it.path.endswith(_LIST)
        )

    def drift(self, key: str) -> Iterator[Drift]:
        """Tell which files of `NAME==VERSION` are not what its list says.

        And which lie in its folders that no list has, as the interpreter might run them in
        place of others. Bytecode may lie there when it is that of its source.
        """
        folders = set()
        for it in self._listed(key):
            if it.sha256:
                yield from self._changed(it)
            top, _, below = it.path.partition("/")
            if below and top not in {"..", "bin"}:
                folders.add(top)
        for top in sorted(folders):
            yield from self._unlisted(self.folder / top)

    def drift_beside(self) -> Iterator[Drift]:
        """Tell what lies beside the packages and would be run in the place of one.

        A module that is one file has no folder of its own: its bytecode lies beside it, and
        what has its name too (a library, a folder) may come first.
        """
        modules = {it.partition("/")[0].partition(".")[0] for it in self._recorded}
        for path in sorted(self.folder.iterdir()):
            relative = path.name
            known = relative in self._recorded or any(
                it.startswith(f"{relative}/") for it in self._recorded
            )
            if not known and relative.partition(".")[0] in modules:
                yield Drift(relative, UNLISTED, "a file, link or folder")
        for path in sorted((self.folder / "__pycache__").glob("*.pyc")):
            source = bytecode.source_of(path)
            if source is not None and source.name in self._recorded:
                yield from self._unknown(path, f"__pycache__/{path.name}")

    def _listed(self, key: str) -> list[wheel_records.Recorded]:
        return wheel_records.read(self.infos[key])

    def _changed(self, it: wheel_records.Recorded) -> Iterator[Drift]:
        path = self.folder / it.path
        try:
            found = wheel_records.digest_of(path.read_bytes())
        except OSError:
            found = NOTHING
        if path.is_symlink():
            found = f"a link to {path.readlink()}"
        if found != it.sha256:
            yield Drift(it.path, it.sha256, found)

    def _unlisted(self, top: Path) -> Iterator[Drift]:
        for parent, folders, names in os.walk(top):
            here = Path(parent)
            links = [name for name in folders if (here / name).is_symlink()]
            for path in sorted(here / name for name in (*links, *names)):
                relative = path.relative_to(self.folder).as_posix()
                if relative not in self._recorded:
                    yield from self._unknown(path, relative)

    def _unknown(self, path: Path, relative: str) -> Iterator[Drift]:
        """Tell of a file that no list has, unless it is bytecode of one that a list has."""
        source = bytecode.source_of(path)
        if (
            source is None
            or source.relative_to(self.folder).as_posix() not in self._recorded
        ):
            yield Drift(relative, UNLISTED, "a file or link")
            return
        try:
            data, content = path.read_bytes(), source.read_bytes()
        except OSError as exc:
            yield Drift(relative, "bytecode of its source", str(exc))
            return
        if bytecode.is_for_another_interpreter(data):
            return
        if not bytecode.is_compiled_from(data, content, path):
            yield Drift(relative, f"what {source.name} compiles to", "other code")

    def others(self) -> list[str]:
        """Name the other packages in the folder."""
        found = map(_name, wheel_records.distributions(self.folder))
        return sorted(set(found) - self.names)

    def run_unasked(self) -> list[str]:
        """Name what the interpreter runs at each start and that no list of these has."""
        names = sorted(it.name for it in self.folder.iterdir())
        return [
            it
            for it in names
            if it.endswith(_OF_THE_INTERPRETER) and it not in self._recorded
        ]

    def lines(self, key: str) -> Iterator[str]:
        """Give what is the same wherever the same wheel of `NAME==VERSION` is installed."""
        for it in self._listed(key):
            path = PurePosixPath(it.path)
            own = path.parent.name.endswith(".dist-info")
            if not it.sha256 or (own and path.name in wheel_records.OF_THIS_MACHINE):
                continue
            if path.parts[0] in {"..", "bin"}:
                if self._is_script(it.path):
                    continue
                path = PurePosixPath("bin", path.name)
            yield f"{key} {path} {it.sha256}\n"

    def _is_script(self, path: str) -> bool:
        """Tell whether an installer has written it: it names this machine's interpreter."""
        try:
            with (self.folder / path).open("rb") as file:
                return file.read(2) == _SHEBANG
        except OSError:
            return True


def _name(key: str) -> str:
    return key.partition("==")[0]


def digest(lines: list[str]) -> str:
    """Hash the lines of all packages, whatever their order; hex of SHA-256."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
