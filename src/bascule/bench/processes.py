"""Processes: started, measured with all their children, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

STOP_SECONDS = 25
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; what it prints goes to `log`."""
    process = None
    try:
        with log.open("wb") as output, _signals_held_back():
            process = subprocess.Popen(  # noqa: S603 - our own words, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        yield process
    finally:
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let a request to stop wait until a program that starts is known, so that it is ended.

    Not by blocking signals: the program would inherit that.
    """
    held: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        held.append(number)

    before = {it: signal.signal(it, note) for it in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)
    for number in held:
        signal.raise_signal(number)


def cpu_seconds(pid: int) -> float:
    """Sum the CPU time of a process and all its children, those that ended too.

    User and system time, in steps of the kernel's tick (10 ms). Source: proc(5), fields 14
    to 17 of `stat`.
    """
    return sum(sum(map(int, _stat(each)[11:15])) for each in tree(pid)) / _TICKS


def pss_megabytes(pid: int) -> float:
    """Sum the proportional set size of a process and its children, in 10^6 bytes.

    Of one that only root may look into (Bascule is one) it is the whole resident set,
    which is more.
    """
    kilobytes = 0
    for each in tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            kilobytes += _kilobytes(Path("/proc") / str(each))
    return kilobytes * 1024 / 1e6


def _kilobytes(process: Path) -> int:
    try:
        text, wanted = (process / "smaps_rollup").read_text(), "Pss:"
    except PermissionError:
        text, wanted = (process / "status").read_text(), "VmRSS:"
    found = (line.split()[1] for line in text.splitlines() if line.startswith(wanted))
    return int(next(found, "0"))


def tree(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """Give the fields from the third on; none when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
