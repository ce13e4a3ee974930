"""The lists of files that wheels bring along (RECORD): checked, and the same everywhere.

The format is that of the Python packaging user guide, "Recording installed projects".
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from packaging.utils import canonicalize_name

from bascule.lock.model import LockError, Package
from bascule.lock.purl import name_of, told, version_of

_NO_PART_OF_A_WHEEL = (".lock",)
"""What uv leaves in a folder beside packages."""
OF_THIS_MACHINE = ("direct_url.json", "REQUESTED", "INSTALLER", "uv_cache.json")
"""In `.dist-info`: who installed it, from where, whether it was asked for."""


class BrokenWheelError(LockError):
    """What lies in a folder is not what the wheels' lists say; the message names it."""


class Recorded(NamedTuple):
    """One line of a list."""

    path: str
    sha256: str
    """Base64 without padding, URL-safe; empty for the list itself."""


def distributions(folder: Path) -> dict[str, Path]:
    """Give the `.dist-info` folder of each distribution, by normalised name and version."""
    found = {}
    for info in sorted(folder.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        found[f"{canonicalize_name(name)}=={version}"] = info
    return found


def distribution_of(folder: Path, package: Package) -> Path:
    """Give a package's `.dist-info` folder. Raises `LockError` when it is not there."""
    key = f"{canonicalize_name(name_of(package.purl))}=={version_of(package.purl)}"
    found = distributions(folder).get(key)
    if found is None:
        raise LockError(f"`{told(package.purl)}` is not among what was installed")
    return found


def read(info: Path) -> list[Recorded]:
    """Read a distribution's list. Raises `LockError`."""
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as file:
            return [_recorded(row) for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as exc:
        raise LockError(f"`{info.name}`: its list of files cannot be read") from exc


def _recorded(row: list[str]) -> Recorded:
    path, digest, _ = row
    kind, _, value = digest.partition("=")
    if digest and kind != "sha256":
        raise ValueError("another hash than SHA-256")
    return Recorded(path, value)


def check(folder: Path, packages: Sequence[Package]) -> None:
    """Compare all that lies in a folder with the lists of the packages in it.

    Raises `BrokenWheelError` for a file that no list has, that is missing or that differs,
    as it does when two packages bring one path differently and one overwrote the other.
    """
    recorded: dict[str, str] = {}
    infos = {distribution_of(folder, package) for package in packages}
    for info in set(distributions(folder).values()) - infos:
        raise BrokenWheelError(f"`{info.name}` was installed and is not in the lock")
    for info in sorted(infos):
        for path, digest in read(info):
            _check_file(folder, info, path, digest)
            recorded[path] = digest
    for found in _files(folder):
        if found not in recorded and found not in _NO_PART_OF_A_WHEEL:
            raise BrokenWheelError(f"`{found}` was installed and belongs to no package")


def _check_file(folder: Path, info: Path, path: str, digest: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise BrokenWheelError(f"`{info.name}` puts `{path}` outside of its folder")
    try:
        data = (folder / pure).read_bytes()
    except OSError as exc:
        raise BrokenWheelError(f"`{info.name}` lacks its file `{path}`") from exc
    if digest and digest_of(data) != digest:
        raise BrokenWheelError(
            f"`{path}` is not what `{info.name}` brings: another package brings it too, or "
            "it was changed on the way"
        )


def digest_of(data: bytes) -> str:
    """Hash content as lists write it: Base64 without padding, URL-safe."""
    digest = hashlib.sha256(data).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _files(folder: Path) -> Iterator[str]:
    for path, _, names in os.walk(folder):
        for name in names:
            yield (Path(path) / name).relative_to(folder).as_posix()


def remove_what_is_of_this_machine(folder: Path, interpreter: Path) -> None:
    """Remove what holds paths or the installer's name, and write the lists anew."""
    for name in _NO_PART_OF_A_WHEEL:
        (folder / name).unlink(missing_ok=True)
    scripts = folder / "bin"
    if scripts.is_dir():
        for script in scripts.iterdir():
            if _names(script, interpreter):
                script.unlink()
        with contextlib.suppress(OSError):
            scripts.rmdir()  # unless there are programs that came in a wheel
    for info in distributions(folder).values():
        for name in OF_THIS_MACHINE:
            (info / name).unlink(missing_ok=True)
        kept = [line for line in read(info) if (folder / line.path).exists()]
        (info / "RECORD").write_text(_written(folder, kept), encoding="utf-8")


def _names(script: Path, interpreter: Path) -> bool:
    """Tell whether a script begins with the path of the interpreter that runs it."""
    with script.open("rb") as file:
        return os.fsencode(interpreter) in file.read(4096)


def _written(folder: Path, lines: list[Recorded]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for path, digest in sorted(lines):
        size = (folder / path).stat().st_size
        writer.writerow([path, f"sha256={digest}", size] if digest else [path, "", ""])
    return text.getvalue()
