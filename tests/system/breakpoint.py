"""`bascule` that dies at a given line as if by `kill -9`: a debugger's breakpoint.

    python tests/system/breakpoint.py FILE TEXT [BASCULE'S ARGUMENTS...]

It dies when the line of FILE, below `src/bascule`, that holds TEXT is about to run. A TEXT
that is a number N means the Nth line of the whole gateway that runs once a call has come.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import bascule
from bascule.cli.main import main

SOURCE = Path(bascule.__file__).parent


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_text(file: str, text: str) -> Any:
    """Make a tracer that dies at the one line that holds a text."""
    path = str(SOURCE / file)
    lines = Path(path).read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if text in line]
    if len(found) != 1:
        sys.exit(f"{file} has {len(found)} lines with `{text}`: name the place anew")

    def lines_of(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and frame.f_lineno in found:
            die()
        return lines_of

    return lambda frame, *_: lines_of if frame.f_code.co_filename == path else None


def at_count(wanted: int) -> Any:
    """Make a tracer that dies at the Nth line of the gateway since a call came."""
    folder = str(SOURCE / "gateway")
    counted = -1

    def lines_of(_: FrameType, event: str, __: Any) -> Any:
        nonlocal counted
        if event == "line" and counted >= 0:
            counted += 1
            if counted >= wanted:
                die()
        return lines_of

    def calls(frame: FrameType, *_: Any) -> Any:
        nonlocal counted
        if not frame.f_code.co_filename.startswith(folder):
            return None
        if frame.f_code.co_name == "handle_call":
            counted = max(counted, 0)
        return lines_of

    return calls


if __name__ == "__main__":
    file, text, *arguments = sys.argv[1:]
    sys.settrace(at_count(int(text)) if text.isdecimal() else at_text(file, text))
    main(arguments)
