"""The line that says how far something is."""

from __future__ import annotations

import contextlib
import os
import pty

from bascule.cli.progress import Line
from scanned import HOSTILE, UNSEEN

SHOWS, TAKES_AWAY = "\r\x1b[K", "\r\x1b[K"


def shown(*texts: str) -> str:
    """Give what a person at a terminal gets, until the program lets go of it."""
    person, program = pty.openpty()
    with (
        os.fdopen(program, "w") as file,
        contextlib.redirect_stderr(file),
        Line(pause=0) as line,
    ):
        for text in texts:
            line.say(text)
    told = b""
    with os.fdopen(person, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while more := terminal.read(10_000):
            told += more
    return told.decode()


def test_a_terminal_is_told_and_the_line_is_gone_at_the_end() -> None:
    assert shown("1 of 2", "2 of 2") == (f"{SHOWS}1 of 2{SHOWS}2 of 2{TAKES_AWAY}")


def test_names_of_others_move_nothing_on_it() -> None:
    told = shown(HOSTILE).removeprefix(SHOWS).removesuffix(TAKES_AWAY)
    assert set(told) & (UNSEEN | {"\n"}) == set()
    assert 0 < len(told) < 200
