"""Processes and listening sockets from /proc of Linux (proc(5))."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bascule.scan.containers import container_of
from bascule.scan.local_view import HERE, Listener, LocalView, Process, closed_processes
from bascule.scan.report import Gap
from bascule.scan.socket_table import TableRow, listening

PROC = Path("/proc")
_INODE = re.compile(r"^net:\[(\d+)\]$")
_SOCKET = re.compile(r"^socket:\[(\d+)\]$")
_MAX_COMMAND = 1 << 17
"""Bytes of a command line that are read: more than anybody writes."""


@dataclass(frozen=True, slots=True)
class _Entry:
    process: Process
    network: int | None
    """Network namespace, by inode; None where it may not be seen."""
    sockets: frozenset[int] | None
    """Inodes of the sockets that it has open; None where they may not be seen."""


def look(proc: Path = PROC) -> LocalView:
    """See what runs, and what listens in each network namespace that has a process.

    Raises OSError where there is no /proc.
    """
    entries = list(_entries(proc))
    own = _network(proc / "self")
    tables, gaps = _tables(entries, own, proc)
    owners = _owners(entries)
    listeners = tuple(
        Listener(
            address=row.address,
            port=row.port,
            user_id=row.user_id,
            process=owners.get(row.inode),
            network=None if network == own else network,
        )
        for network, rows in tables.items()
        for row in rows
    )
    closed = sum(it.sockets is None for it in entries)
    if closed:
        gaps.append(closed_processes(closed, "run it as root"))
    processes = {it.process.pid: it.process for it in entries}
    return LocalView(processes, listeners, tuple(gaps))


def _tables(
    entries: Iterable[_Entry], own: int | None, proc: Path
) -> tuple[dict[int | None, list[TableRow]], list[Gap]]:
    """Read the table of each namespace through a process that is in it, the own first."""
    inside: dict[int, list[int]] = {}
    for entry in entries:
        if entry.network not in (None, own):
            inside.setdefault(entry.network, []).append(entry.process.pid)
    tables: dict[int | None, list[TableRow]] = {own: listening(proc / "self")}
    gaps: list[Gap] = []
    for network, pids in inside.items():
        rows = _first_table(pids, proc)
        if rows is not None:
            tables[network] = rows
        elif any((proc / str(pid)).exists() for pid in pids):
            gaps.append(_unread(network, pids[0]))
    return tables, gaps


def _first_table(pids: Iterable[int], proc: Path) -> list[TableRow] | None:
    for pid in pids:
        with contextlib.suppress(OSError):
            return listening(proc / str(pid))
    return None


def _unread(network: int, pid: int) -> Gap:
    return Gap(
        target=HERE,
        what=f"what listens in the network namespace {network}, which process {pid} is in",
        why="its table of sockets could not be read: run it as root",
    )


def _owners(entries: Iterable[_Entry]) -> dict[int, Process]:
    """Give who has each socket: of a family that inherited it the one that began it."""
    held: dict[int, dict[int, Process]] = {}
    for entry in entries:
        for inode in entry.sockets or ():
            held.setdefault(inode, {})[entry.process.pid] = entry.process
    return {inode: _eldest(holders) for inode, holders in held.items()}


def _eldest(holders: dict[int, Process]) -> Process:
    return min(holders.values(), key=lambda it: (it.parent in holders, it.pid))


def _entries(proc: Path) -> Iterator[_Entry]:
    """Give each program that runs; one that ends meanwhile is left out.

    Threads of the kernel and what has ended without being waited for are no programs.
    """
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = _status(folder)
                if "VmSize" in status:
                    yield _entry(folder, status)


def _entry(folder: Path, status: dict[str, str]) -> _Entry:
    opened = _opened(folder / "fd")
    process = Process(
        pid=int(folder.name),
        parent=int(status["PPid"]),
        user_id=int(status["Uid"].split()[0]),
        command=_command(folder) or (status["Name"],),
        directory=_link(folder / "cwd"),
        container=container_of((folder / "cgroup").read_text(errors="replace")),
        input=None if opened is None else opened.get("0"),
        output=None if opened is None else opened.get("1"),
        channels=None if opened is None else frozenset(_channels(folder / "fd", opened)),
    )
    sockets = None if opened is None else frozenset(_sockets(opened.values()))
    return _Entry(process, _network(folder), sockets)


def _status(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text(errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (it.partition(":") for it in lines)}


def _command(folder: Path) -> tuple[str, ...]:
    with (folder / "cmdline").open("rb") as file:
        text = file.read(_MAX_COMMAND).rstrip(b"\0").decode(errors="replace")
    return tuple(text.split("\0")) if text else ()


def _opened(folder: Path) -> dict[str, str] | None:
    """Give what each descriptor is; None where that may not be seen."""
    found: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name] = os.readlink(entry.path)  # noqa: PTH115 - thousands
    except PermissionError:
        return None
    return found


def _channels(folder: Path, opened: dict[str, str]) -> Iterator[str]:
    """Give what it may be told something by; the mode of a link says what is read."""
    for number, target in opened.items():
        if number == "2" or target == opened.get("2"):
            continue
        if target.startswith("socket:"):
            yield target
        elif target.startswith("pipe:"):
            with contextlib.suppress(FileNotFoundError):
                if (folder / number).lstat().st_mode & stat.S_IRUSR:
                    yield target


def _sockets(opened: Iterable[str]) -> Iterator[int]:
    for target in opened:
        if match := _SOCKET.match(target):
            yield int(match[1])


def _network(folder: Path) -> int | None:
    match = _INODE.match(_link(folder / "ns" / "net") or "")
    return int(match[1]) if match else None


def _link(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except PermissionError:
        return None
