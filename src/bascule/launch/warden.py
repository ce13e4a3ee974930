"""Runs one command and ends all of it when whoever wanted it is gone.

    python -I -S warden.py LIFELINE GRACE_SECONDS KEEPS WHOM PROGRAM ARGV0 [ARG...]

LIFELINE is a socket that nobody writes to. When its other end closes, because the owner
closed it or died in whatever way, the command gets SIGTERM and, after GRACE_SECONDS,
SIGKILL; when this process ends, the owner sees its end close. The command never sees it.
KEEPS are the descriptors that the command inherits, with commas between them. WHOM is
`own`, or `inner` for a command that encloses another one: SIGTERM then goes to that, since
the outer one would only die of it and take the inner one with it unasked.

A program of its own, since the owner has threads, and between fork and exec of a process
with threads next to nothing may be done. It imports nothing of Bascule, so that it starts
in milliseconds and holds no secret but the command's environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from typing import NoReturn

CANNOT_EXECUTE = 126
SWEEP_SECONDS = 5.0
"""Time to end what the command has left behind."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_LINUX = sys.platform == "linux"


def main() -> NoReturn:
    """Run the command of the arguments, and exit as it does."""
    lifeline, grace = int(sys.argv[1]), float(sys.argv[2])
    keeps = [int(it) for it in sys.argv[3].split(",") if it]
    inner = sys.argv[4] == "inner"
    program, arguments = sys.argv[5], sys.argv[6:]
    _close_all_but([lifeline, *keeps])
    os.set_inheritable(lifeline, False)
    # What the command starts and leaves behind becomes our child rather than init's.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    own = os.getpid()
    command = os.fork()
    if command == 0:
        _become(program, arguments, keeps, parent=own)
    _close_all_but([lifeline, woken, wakes])
    # Our copies of its streams would keep them open after its end.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    status = _wait(command, [lifeline, woken], deadline=None)
    if status is None:
        for leader in _children(command) if inner else [command]:
            _signal_group(leader, signal.SIGTERM)
        status = _wait(command, [woken], deadline=time.monotonic() + grace)
    _signal_group(command, signal.SIGKILL)
    _sweep()
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF if status is not None else 1)


def _become(
    program: str, arguments: list[str], keeps: list[int], *, parent: int
) -> NoReturn:
    """Turn into the command: nothing of ours but three streams and the environment."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(CANNOT_EXECUTE)  # it died before the line above
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # A service may have got some, to listen on port 443 for instance.
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            # Ignored signals survive exec; SIGKILL and SIGSTOP cannot be set.
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        _close_all_but(keeps)
        os.execv(program, arguments)  # noqa: S606 - no shell is what is meant
    except OSError as exc:
        os.write(2, f"cannot execute {program}: {exc.strerror}\n".encode())
    finally:
        os._exit(CANNOT_EXECUTE)


def _close_all_but(kept: list[int]) -> None:
    """Close all descriptors but these and the three streams."""
    start = 3
    for number in sorted(kept):
        os.closerange(start, number)
        start = max(start, number + 1)
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _wait(command: int, wakers: list[int], *, deadline: float | None) -> int | None:
    """Reap until the command has ended: its wait status, or None when it did not.

    It did not when the first of two `wakers`, the lifeline, was closed, or when the
    deadline has passed.
    """
    while True:
        status = _reap(command)
        if status is not None:
            return status
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return None
        ready, _, _ = select.select(wakers, [], [], left)
        if wakers[-1] in ready:
            os.read(wakers[-1], 4096)
        if len(wakers) > 1 and wakers[0] in ready:
            return _reap(command)


def _reap(command: int) -> int | None:
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = status


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _sweep() -> None:
    """Kill what is left, also what has left the command's group; its orphans come to us."""
    end = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < end:
        for child in _children(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.005)


def _children(parent: int) -> list[int]:
    try:
        with open(f"/proc/{parent}/task/{parent}/children") as file:  # noqa: PTH123 - few imports
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []  # no Linux: the group was all that could be found


if __name__ == "__main__":
    main()
