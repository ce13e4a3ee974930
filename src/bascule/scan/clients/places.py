"""From the table to paths on one machine: a home, its system, its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bascule.scan.clients import Location, Moved, System, Table


@dataclass(frozen=True, slots=True)
class Home:
    """A user's home, and how to read it."""

    path: str
    """Absolute, without a slash at its end; so that `/` is empty."""
    os: System
    """Whose layout it has: a Windows home seen from WSL has that of Windows."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """The user's variables; empty for anybody but who scans."""
    is_local: bool = True
    """Quick enough to be searched for projects: not across the border of a virtual
    machine."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a location would be."""

    location: Location
    pattern: str
    """Absolute; may hold `*` and `**`."""
    base: str | None
    """Folder that links may not lead out of; None for the system's own."""


def places(table: Table, home: Home) -> Iterator[Place]:
    """Give where the clients of a user look; both places where a variable moves one.

    A client that was started elsewhere may not have had the variable.
    """
    for location in table.locations:
        if location.os not in (home.os, "any") or location.scope == "project":
            continue
        base = home.path if location.scope == "user" else None
        yield Place(location, _below(location.path, home.path), base)
        for moved in table.moved:
            target = _moved(location.path, moved, home.environ)
            if target is not None:
                yield Place(location, target, _folder(target, moved, home.environ))


def _below(path: str, home: str) -> str:
    return f"{home}{path[1:]}" if path.startswith("~/") else path


def _moved(path: str, moved: Moved, environ: Mapping[str, str]) -> str | None:
    value = environ.get(moved.variable, "")
    if not path.startswith(moved.prefix) or not is_absolute(value):
        return None
    if moved.to == "file":
        return value if path == moved.prefix else None
    value = value.replace("\\", "/").rstrip("/")
    kept = path.removeprefix(moved.prefix) or moved.prefix.rpartition("/")[2]
    return f"{value}/{kept}"


def _folder(target: str, moved: Moved, environ: Mapping[str, str]) -> str:
    """Give what the user named, and so allowed."""
    if moved.to == "file":
        return target.rpartition("/")[0] or "/"
    return environ[moved.variable].replace("\\", "/").rstrip("/")


def is_absolute(path: str) -> bool:
    """Tell whether a path is absolute, on Unix or with a drive of Windows.

    Shares of Windows (`//HOST/…`) are not: to look there would send the user's name and a
    proof of the password to a host that a file names.
    """
    plain = path.replace("\\", "/")
    return (plain.startswith("/") and not plain.startswith("//")) or plain[1:3] == ":/"
