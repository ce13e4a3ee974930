"""Whose homes are scanned: the user's; all users' when root asks; Windows' from WSL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bascule.scan.clients import System
from bascule.scan.clients.places import Home

_FIRST_USER = 1000
_NOBODY = 65534
_PASSWD_BYTES = 1 << 20
_WINDOWS_USERS = Path("/mnt/c/Users")
_NOT_USERS = frozenset({"All Users", "Default", "Default User", "Public"})


def this_system() -> System:
    """Give the system that runs this program."""
    if sys.platform == "darwin":
        return "mac"
    return "windows" if sys.platform == "win32" else "linux"


def own_homes(environ: Mapping[str, str]) -> tuple[Home, ...]:
    """Give the user's home first, then those that the user may read as well."""
    own = Home(_plain(Path.home()), this_system(), environ)
    found = [own]
    if own.os != "windows" and os.geteuid() == 0:
        found += (Home(path, own.os) for path in users_homes(Path("/etc/passwd")))
        found += (Home(_plain(it), own.os) for it in _folders(Path("/Users")))
    if own.os == "linux":
        found += (
            Home(_plain(it), "windows", is_local=False)
            for it in _folders(_WINDOWS_USERS)
            if it.name not in _NOT_USERS
        )
    unique: dict[str, Home] = {}
    for home in found:
        unique.setdefault(os.path.realpath(home.path or "/"), home)
    return tuple(unique.values())


def named_home(path: Path) -> Home:
    """Give a home that was named, perhaps mounted from elsewhere; its layout says whose."""
    if (path / "AppData" / "Roaming").is_dir():
        return Home(_plain(path), "windows")
    if (path / "Library" / "Application Support").is_dir():
        return Home(_plain(path), "mac")
    return Home(_plain(path), this_system())


def users_homes(passwd: Path) -> Iterator[str]:
    """Give the homes of root and of people, as the file of accounts has them.

    The file, and not the system's directory of accounts, which may be elsewhere. A home
    belongs to its user: `/` or `/usr/sbin` of a service is none.
    """
    try:
        with passwd.open("rb") as file:
            lines = file.read(_PASSWD_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(":")
        if len(fields) < 7 or not fields[2].isdecimal():
            continue
        uid, path = int(fields[2]), fields[5]
        if (uid == 0 or _FIRST_USER <= uid < _NOBODY) and _belongs(path, uid):
            yield path.rstrip("/")


def _belongs(path: str, uid: int) -> bool:
    try:
        return len(path) > 1 and Path(path).stat().st_uid == uid
    except OSError:
        return False


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(it for it in parent.iterdir() if it.is_dir() and not it.is_symlink())
    except OSError:
        return []


def _plain(path: Path) -> str:
    return path.absolute().as_posix().rstrip("/")
