"""Clients' files, read with care: bounded, never waiting, and no link out unsaid.

Nothing of a file's content is in an error: it may be the line with the secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.errors import BasculeError
from bascule.scan.clients import Format
from bascule.scan.clients.matching import reason
from bascule.scan.config_parsers import UnparsableError, parse

LIMITS: Mapping[Format, int] = {
    "json": 8 << 20,
    "jsonc": 8 << 20,
    "toml": 256 << 10,
    "yaml": 1 << 20,
}
"""Bytes of a file; one that keeps a client's history as well has some millions."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class ConfigFileError(BasculeError):
    """A file was not read, or not understood; the message is why."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read."""

    path: str
    text: str
    value: object
    """What it holds; None for an empty one."""
    others_write: bool
    """Every user of the machine may write it."""
    others_read: bool


def read_document(path: str, format: Format, base: str | None) -> Document:
    """Read a file that is, or that links to, a regular file below `base`.

    Raises `ConfigFileError`, and nothing else, whatever is there.
    """
    try:
        data, mode = _read(path, LIMITS[format], base)
        text, value = parse(data, format)
    except UnparsableError as exc:
        raise ConfigFileError(str(exc)) from exc
    except (OSError, ValueError) as exc:
        raise ConfigFileError(reason(exc)) from exc
    is_ours = os.name == "posix"
    return Document(
        path,
        text,
        value,
        others_write=is_ours and bool(mode & stat.S_IWOTH),
        others_read=is_ours and bool(mode & stat.S_IROTH),
    )


def read_small_file(path: str, limit: int) -> bytes:
    """Read a regular file of some bytes at most. Raises `ConfigFileError`."""
    try:
        return _read(path, limit, None)[0]
    except (OSError, ValueError) as exc:
        raise ConfigFileError(reason(exc)) from exc


def _read(path: str, limit: int, base: str | None) -> tuple[bytes, int]:
    real = os.path.realpath(path)
    if base is not None and not is_below(real, os.path.realpath(base or "/")):
        raise ConfigFileError(
            f"it is a link to `{real}`, outside of `{base}`, and was not followed: name "
            "that file on the command line to have it read"
        )
    _refuse_other_kinds(os.stat(real).st_mode)  # noqa: PTH116 - as fast as can be
    # What was replaced in between is not waited for, and looked at again.
    handle = os.open(real, _FLAGS)
    try:
        opened = os.fstat(handle)
        _refuse_other_kinds(opened.st_mode)
        if opened.st_size > limit:
            raise ConfigFileError(
                f"it has {opened.st_size} bytes, and no more than {limit} are read"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise ConfigFileError(f"it grew beyond {limit} bytes while it was read")
    return data, opened.st_mode


def _refuse_other_kinds(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for has, name in _KINDS if has(mode)), "of another kind")
    raise ConfigFileError(f"it is {kind}, no file, and was not opened")


def is_below(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or below it; both without links."""
    return path == folder or path.startswith(f"{folder.rstrip('/' + os.sep)}{os.sep}")
