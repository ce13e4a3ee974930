"""Processes and listening sockets where there is no /proc of Linux: macOS, Windows, BSD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil

from bascule.scan.local_view import Listener, LocalView, Process, closed_processes

T = TypeVar("T")


def look() -> LocalView:
    """See what runs and listens; what a process has open, where this user may see it."""
    processes: dict[int, Process] = {}
    listeners: list[Listener] = []
    closed = 0
    for each in psutil.process_iter():
        try:
            process = processes[each.pid] = _process(each)
            listeners += _listeners(each, process)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            closed += 1
    gaps = (closed_processes(closed, "run it as an administrator"),) if closed else ()
    return LocalView(processes, tuple(listeners), gaps)


def _process(each: psutil.Process) -> Process:
    with each.oneshot():
        return Process(
            pid=each.pid,
            parent=each.ppid(),
            user_id=_user(each),
            command=tuple(_allowed(each.cmdline) or (each.name(),)),
            directory=_allowed(each.cwd),
        )


def _user(each: psutil.Process) -> int | None:
    """Give the number of its user; Windows has none."""
    if not psutil.POSIX:
        return None
    ids = _allowed(each.uids)
    return None if ids is None else int(ids.real)


def _allowed(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except psutil.AccessDenied:
        return None


def _listeners(each: psutil.Process, process: Process) -> Iterator[Listener]:
    for it in each.net_connections(kind="tcp"):
        if it.status == psutil.CONN_LISTEN:
            yield Listener(
                address=it.laddr.ip.partition("%")[0],
                port=it.laddr.port,
                user_id=process.user_id,
                process=process,
            )
