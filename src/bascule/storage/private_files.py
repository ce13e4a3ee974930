"""Checks that nobody else on this host can change or read what must be ours."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from bascule.errors import BasculeError


class UnsafeFileError(BasculeError):
    """Somebody else on this host could change or read what must be ours."""


def refuse_writable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can write `path`."""
    info = path.stat()
    if info.st_uid not in {os.geteuid(), 0}:
        raise UnsafeFileError(f"`{path}` belongs to another user: chown it to yours")
    if stat.S_IMODE(info.st_mode) & 0o022:
        raise UnsafeFileError(f"others can write `{path}`: run `chmod go-w {path}`")


def refuse_replaceable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can put something in `path`'s place.

    Who can write a folder can rename what is in it, unless it is sticky, as /tmp is.
    """
    folder = path.resolve().parent
    info = folder.stat()
    if info.st_uid not in {os.geteuid(), 0}:
        raise UnsafeFileError(f"another user owns `{folder}` and can replace `{path}`")
    writers = stat.S_IMODE(info.st_mode) & 0o022
    if _is_private_group(info.st_gid):
        writers &= ~0o020
    if writers and not info.st_mode & stat.S_ISVTX:
        raise UnsafeFileError(f"others can replace `{path}`: run `chmod go-w {folder}`")


def _is_private_group(gid: int) -> bool:
    """Tell whether nobody but this process's user is in a group, as far as is known."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not group.gr_mem


def refuse_readable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can read `path`."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeFileError(f"others can read `{path}`: run `chmod go-rwx {path}`")
