"""Who made an entry of the lock, as well as that can be known.

It is what git or the operating system say, which whoever makes an entry can set as they
like: it keeps honest people from approving what is their own, and shows who claimed what.
"""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path

from bascule.lock.lock_file import LOCK_NAME

GIT_SECONDS = 10
MAX_CHARACTERS = 200


def author_here(folder: Path) -> str:
    """Give who works on this machine: the e-mail address that git uses, else the login."""
    found = _git(folder, "config", "user.email")
    if found:
        return found
    try:
        return getpass.getuser()[:MAX_CHARACTERS]
    except (KeyError, OSError):
        return ""


def author_in_history(folder: Path, name: str) -> str:
    """Give who committed the last change of a connector's entry; empty if git has none.

    A lock file that is not committed as it stands was changed by who works here.
    """
    lines = _lines_of(folder / LOCK_NAME, name)
    if lines is None or _git(folder, "ls-files", "--", LOCK_NAME) != LOCK_NAME:
        return ""
    if _git(folder, "status", "--porcelain", "--", LOCK_NAME):
        return author_here(folder)
    first, last = lines
    found = _git(
        folder, "log", "-1", "-s", "--format=%ae", f"-L{first},{last}:./{LOCK_NAME}"
    )
    return found.partition("\n")[0]


def _lines_of(path: Path, name: str) -> tuple[int, int] | None:
    """Find the lines of an entry, which has its own at an indent of four."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        first = lines.index(f'    "{name}": {{')
        last = next(at for at in range(first, len(lines)) if lines[at][:5] == "    }")
    except (OSError, UnicodeDecodeError, ValueError, StopIteration):
        return None
    return first + 1, last + 1


def _git(folder: Path, *arguments: str) -> str:
    """Ask git; empty when it is missing, has no answer or takes long."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours, there is no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
    return text.strip()[:MAX_CHARACTERS]
