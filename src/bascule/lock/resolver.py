"""Running a package manager: its time is bounded, its words are passed on with care."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bascule.lock.invisible import visible
from bascule.lock.model import LockError, Package

RESOLVE_SECONDS = 120
_TOLD_CHARACTERS = 800
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_TOKEN = re.compile(r"(?i)((?:_auth\w*|token|password|authorization)\s*[=:]\s*)\S+")
_PREFIX = re.compile(r"^(?:npm )?(?:error|ERR!)\b:?(?: \d{3}\b)?|^npm warn\b")
_IDLE = re.compile(r"complete log|^warning:")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NothingFoundError(LockError):
    """There is no set of packages as asked for, or none that is old enough."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a package manager answered."""

    succeeded: bool
    output: str
    messages: str
    """Its standard error, for people."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a package manager found."""

    root: str
    """purl."""
    packages: tuple[Package, ...]
    """Sorted by purl."""
    native: str
    """The ecosystem's own lock."""
    public: frozenset[str]
    """purls of those that came from the ecosystem's public registry."""
    index: str = ""
    """URL of the one that all came from, where there is just one; never kept."""


@contextmanager
def scratch(environment: Mapping[str, str]) -> Iterator[Path]:
    """Give a fresh folder in which a package manager finds no settings of strangers.

    uv and npm take settings from the nearest folder upwards that has some. Folders for
    temporary files belong to everybody: who puts settings there would choose the registry.
    So this folder has empty ones. The operator's own settings count as always.
    """
    place = environment.get("TMPDIR") or None
    with tempfile.TemporaryDirectory(prefix="bascule-", dir=place) as name:
        folder = Path(name) / "connector"  # npm writes its name into the lock
        folder.mkdir()
        for settings, text in (("uv.toml", ""), (".npmrc", ""), ("package.json", "{}")):
            (folder / settings).write_text(text)
        yield folder


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float = RESOLVE_SECONDS,
) -> Said:
    """Run a package manager to its end, in a process group of its own.

    Raises `LockError` when it cannot be started, and when it takes longer than `seconds`:
    then it is killed with all that it started.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument vector, no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as exc:
        raise LockError(f"cannot run `{name}`: {exc.strerror}") from exc
    with process:
        try:
            output, messages = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as exc:
            raise LockError(
                f"`{name}` did not end within {seconds:g} seconds: see whether the "
                "registry answers, and try again"
            ) from exc
        finally:
            _end(process)
    return Said(process.returncode == 0, output, messages)


def complaint(messages: str) -> str:
    """Give the end of what a package manager complained of, without credentials."""
    plain = _COLOUR.sub("", messages).splitlines()
    lines = [_PREFIX.sub("", line.strip()).strip() for line in plain]
    told = [line for line in lines if line and not _IDLE.search(line)]
    while len(told) > 1 and sum(map(len, told)) > _TOLD_CHARACTERS:
        told.pop(0)
    text = _TOKEN.sub(r"\1…", _CREDENTIALS.sub("", "; ".join(told)))
    return visible(text[-_TOLD_CHARACTERS:])


def _end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a process and of what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
