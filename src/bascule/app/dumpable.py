"""Keeps others out of this process's memory, and its rights out of what it starts."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def forbid_reading() -> None:
    """Let only root read this process's memory and environment, and write no core dump.

    Keys and tokens are in there. Linux alone; programs that it starts are not affected
    (prctl(2), ptrace(2)).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def keep_rights() -> None:
    """Let no program that is started from here inherit capabilities of this process.

    A service may have got one for its ports (`AmbientCapabilities=` of systemd).
    """
    if sys.platform == "linux":
        clear = _PR_CAP_AMBIENT_CLEAR_ALL
        ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, clear, 0, 0, 0)
