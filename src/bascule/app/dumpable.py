"""Keeps other processes of the same OS user out of this one's memory."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def forbid_reading() -> None:
    """Let only root read this process's memory and environment, and write no core dump.

    Keys and tokens are in there. Linux alone; programs that it starts are not affected
    (prctl(2), ptrace(2)).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
