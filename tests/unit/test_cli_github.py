"""Annotations of GitHub Actions: one line, one command, nothing that a terminal obeys."""

from __future__ import annotations

from bascule.cli.github import annotation


def test_whatever_is_said_is_one_command_that_drives_nothing() -> None:
    said = annotation("a,b:c\x1b]0;x\x07", 3, "error", "50%\n::stop\x9b31m\u202e")
    assert said == (
        "::error file=a%2Cb%3Ac\\x1b]0;x\\x07,line=3::50%25%0A::stop\\x9b31m\\u202e"
    )
