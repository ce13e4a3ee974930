"""Where a finding is: in a file, perhaps at a line, or at a server that has no file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote

from msgspec import UNSET, Struct

from bascule.scan.finding import Finding
from bascule.scan.reports.plain import plain
from bascule.scan.server import Server

SERVERS = "mcp-servers/"
"""Folder of artifacts that are no files: code scanning shows no result without one."""
_LARGEST = 4 << 20


class Place(Struct, frozen=True, kw_only=True):
    """A place as SARIF has it."""

    uri: str
    """Relative to the folder that was named, where it is below it."""
    relative: bool
    file: bool
    """It is a file; else the URI stands for a server."""
    line: int = 1
    """The first where no other is known."""


def paths_of(servers: Iterable[Server]) -> list[str]:
    """Give the files that servers stand in, the longest name first."""
    return sorted(
        {it.path for it in servers if it.path is not UNSET}, key=len, reverse=True
    )


def place_of(finding: Finding, paths: Sequence[str], root: Path | None) -> Place:
    """Find the place of a finding: as it says, or by its target, which may name a file."""
    target = finding.target
    if finding.path is not UNSET:
        name = target.removeprefix(f"{finding.path}: ")
        line = _line_of(finding.path, name) if finding.line is UNSET else finding.line
        return _file(finding.path, line, root)
    for path in paths:
        if target == path or target.startswith(f"{path}: "):
            return _file(path, _line_of(path, target[len(path) + 2 :]), root)
    path, _, name = target.partition(": ")
    if _is_path(path):
        return _file(path, _line_of(path, name), root)
    return Place(uri=SERVERS + quote(plain(target), safe=""), relative=True, file=False)


def _is_path(text: str) -> bool:
    if "://" in text:
        return False
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _file(path: str, line: int, root: Path | None) -> Place:
    if root is not None:
        try:
            below = Path(path).absolute().relative_to(root)
        except ValueError:
            pass
        else:
            return Place(uri=_quoted(below.as_posix()), relative=True, file=True, line=line)
    return Place(uri=_absolute(path), relative=False, file=True, line=line)


def _absolute(path: str) -> str:
    windows = PureWindowsPath(path)
    if windows.is_absolute() and not path.startswith("/"):
        drive = windows.drive.replace("\\", "/")
        rest = windows.as_posix()[len(drive) :]
        if not drive.startswith("//"):
            return f"file:///{drive}{_quoted(rest)}"
        return f"file:{_quoted(drive)}{_quoted(rest)}"
    return f"file://{_quoted(str(Path(path).absolute()))}"


def _quoted(path: str) -> str:
    # A lone surrogate stands for a byte of a file's name, or came from text of others.
    return quote(path.encode("utf-8", "surrogateescape" if _is_bytes(path) else "replace"))


def _is_bytes(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _line_of(path: str, name: str) -> int:
    """Find the line that first has a name in quotation marks, or else at all."""
    if not name:
        return 1
    try:
        if not Path(path).is_file():
            return 1
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LARGEST).splitlines()
    except (OSError, ValueError):
        return 1
    for wanted in (f'"{name}"', name):
        for number, line in enumerate(lines, start=1):
            if wanted in line:
                return number
    return 1
