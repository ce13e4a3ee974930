"""Files that a pattern of the table stands for; bounded, and blind to nothing unsaid."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

Tell = Callable[[str, str], None]
"""Takes a path, and why it was not looked at."""

MOST_FOLDERS = 5_000
"""Below one `**`."""
MOST_NAMES = 20_000
"""In one folder."""

SKIPPED = frozenset({"node_modules", ".git", ".hg", ".svn", "__pycache__"})
"""Folders without configurations that anybody would read."""


def matching(pattern: str, tell: Tell) -> Iterator[str]:
    """Give what exists of a pattern with `*` and `**`, in the order of names.

    A link to a folder is followed for `*` and not for `**`; what was not looked at is told.
    """
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if "*" in part), len(parts))
    yield from _matching("/".join(parts[:first]), parts[first:], tell)


def _matching(folder: str, parts: Sequence[str], tell: Tell) -> Iterator[str]:
    if not parts:
        if exists(folder, tell):
            yield folder
        return
    if parts[0] == "**":
        for each in _below(folder, tell):
            yield from _matching(each, parts[1:], tell)
    elif "*" in parts[0]:
        for entry in entries(folder, tell):
            if fnmatchcase(entry.name, parts[0]):
                yield from _matching(entry.path, parts[1:], tell)
    else:
        yield from _matching(f"{folder}/{parts[0]}", parts[1:], tell)


def _below(folder: str, tell: Tell) -> Iterator[str]:
    waiting, seen = deque([folder]), 0
    while waiting:
        each = waiting.popleft()
        seen += 1
        if seen > MOST_FOLDERS:
            tell(
                folder, f"it holds more than {MOST_FOLDERS} folders: the rest was left out"
            )
            return
        yield each
        waiting.extend(
            entry.path
            for entry in entries(each, tell)
            if entry.name not in SKIPPED and entry.is_dir(follow_symlinks=False)
        )


def exists(path: str, tell: Tell) -> bool:
    """Tell whether there is anything of that name, be it a link that leads nowhere."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as exc:
        tell(_closed(path), reason(exc))
        return False
    return True


def entries(folder: str, tell: Tell) -> list[os.DirEntry[str]]:
    """Give what is in a folder, by name; nothing when there is none."""
    found: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder or "/") as scanned:
            for entry in scanned:
                if len(found) >= MOST_NAMES:
                    tell(
                        folder, f"it holds more than {MOST_NAMES} names: left out the rest"
                    )
                    break
                found.append(entry)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as exc:
        tell(folder, reason(exc))
        return []
    return sorted(found, key=lambda entry: entry.name)


def reason(exc: OSError | ValueError) -> str:
    """Say why something could not be looked at, without its content."""
    if isinstance(exc, OSError) and exc.strerror:
        return f"it cannot be read: {exc.strerror.lower()}"
    return "it cannot be read"


def _closed(path: str) -> str:
    """Give the folder that keeps others out, so that it is told once for all below it."""
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120 - many, and fast
        try:
            os.lstat(parent)
        except OSError:
            path = parent
        else:
            return parent
    return path
