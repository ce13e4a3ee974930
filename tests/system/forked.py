"""Python commands in processes that have imported Bascule before they begin.

What a start costs is mostly its imports, the same each time. So one process of each run of
tests makes them, and does nothing else; each command runs in a fork of it, with arguments,
variables, working directory and output of its own, and ends as any process does.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

PRELOADED = ("bascule.cli.main", "bascule.cli.up", "bascule.app.worker", "uvloop")
MOST = 1 << 17
"""Bytes of a request: arguments and variables."""
ROOM = "-" * 4096
"""An argument in whose place a fork writes its own, for whoever lists processes."""


class Forked:
    """A process that was forked: as much of `subprocess.Popen` as is needed of one."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start `command`: an interpreter and a module, a script, or `-c` and a program."""
        reading, writing = os.pipe()
        status, told = socket.socketpair()
        order = {
            "command": command[1:],
            "folder": str(Path.cwd()),
            "variables": dict(os.environ),
        }
        with contextlib.closing(told):
            socket.send_fds(
                _origin(), [json.dumps(order).encode()], [1, writing, told.fileno()]
            )
        os.close(writing)
        self.args = command
        self.stderr: IO[str] | None = os.fdopen(reading)
        self.returncode: int | None = None
        self._status = status.detach()
        self._reading = threading.Lock()
        weakref.finalize(self, os.close, self._status)
        self.pid = self._number()

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; gives the exit code. Raises `subprocess.TimeoutExpired`."""
        if not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        with self._reading:
            if self.returncode is None:
                self.returncode = self._number()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to a process that may have ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without warning."""
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        """Read what is told: the process, and then its exit code; both have one line."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._status, 1)
            assert byte, "the process to fork from is gone"
            line += byte
        return int(line)


@cache
def _origin() -> socket.socket:
    """Start the process to fork from; it ends when the other end of the socket does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno()), ROOM]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; gives a fork what it is to run, and None at the end."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([requests, *running], [], [])[0]:
            if ready is not requests:
                pid, told = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(told, code)
                for descriptor in (told, ready):
                    os.close(descriptor)
                continue
            data, descriptors, _, _ = socket.recv_fds(requests, MOST, 3)
            if not data:
                return None
            out, error, told = descriptors
            pid = os.fork()
            if pid == 0:
                os.dup2(out, 1)
                os.dup2(error, 2)
                for descriptor in (out, error, told, requests.detach()):
                    os.close(descriptor)
                for number, (_, other) in running.items():
                    os.close(number)
                    os.close(other)
                order: dict[str, Any] = json.loads(data)
                return order
            _tell(told, pid)
            os.close(out)
            os.close(error)
            running[os.pidfd_open(pid)] = pid, told


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it
        os.write(descriptor, b"%d\n" % number)


def _run(order: dict[str, Any]) -> None:
    """Become what a fresh interpreter would be with these arguments."""
    _show(order["command"])
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    first, *arguments = order["command"]
    if first == "-c":
        sys.path[0] = ""
        sys.argv = [first, *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})  # noqa: S102 - of a test
    elif first == "-m":
        sys.path[0] = order["folder"]
        sys.argv = arguments
        sys.modules.pop(arguments[0], None)  # it runs anew, under another name
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(first).parent)
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


def _show(command: list[str]) -> None:
    """Make others see these arguments (`proc_pid_stat(5)`: arg_start, arg_end)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = map(int, fields[45:47])
    text = "\0".join([sys.executable, *command, ""]).encode()
    assert len(text) < end - start
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    if (order := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _run(order)
