"""What is run, and the little of the operator's environment that it gets."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.errors import BasculeError

_INHERITED = ("PATH", "LANG", "TZ")
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class LaunchError(BasculeError):
    """A command cannot be run; the message is for the operator, not for clients."""


@dataclass(frozen=True, slots=True)
class Command:
    """One stdio server as the configuration declares it, its secrets read."""

    connector: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What is declared beside the minimal environment; stronger than it."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Values that must not stand in the operator's log."""


def base_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Give what every command gets of the operator's environment."""
    found = {name: inherited[name] for name in _INHERITED if inherited.get(name)}
    return {"PATH": DEFAULT_PATH, **found}


def program_of(command: Command, inherited: Mapping[str, str]) -> str:
    """Give the file that will be executed. Raises `LaunchError` when there is none."""
    path = {**base_environment(inherited), **command.environment}["PATH"]
    name = command.argv[0]
    found = shutil.which(name, path=path)
    if found is None:
        where = "does not exist or is not executable" if "/" in name else "is not on PATH"
        raise LaunchError(
            f"connector `{command.connector}`: `{name}` {where}; install it, or name it by "
            "its whole path in `command`"
        )
    return str(Path(found).absolute())


def private_directories(folder: Path, user: str) -> dict[str, str]:
    """Make HOME and TMPDIR of one process, below `folder`, for this OS user alone.

    `user` is empty for a process that all users share.
    """
    name = "shared" if not user else hashlib.sha256(user.encode()).hexdigest()[:32]
    made = {}
    for variable, part in (("HOME", "home"), ("TMPDIR", "tmp")):
        path = folder / name / part
        for each in (folder, path.parent, path):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
            each.chmod(0o700)
        made[variable] = str(path)
    return made


def environment_of(
    command: Command, directories: Mapping[str, str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Give the whole environment of a process."""
    return {**base_environment(inherited), **directories, **command.environment}


def operator_environment() -> Mapping[str, str]:
    """Give the environment of this process."""
    return os.environ
