"""What is wrong with policies, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from bascule.errors import BasculeError

CONFIG_FILE = "bascule.toml"
"""Stands for the configuration file, whatever it is called; its lines are found later."""


class Problem(Struct, frozen=True):
    """One finding about the policies of a configuration."""

    file: str
    line: int
    """From 1; 0: look for `where`."""
    severity: Literal["error", "warning"]
    message: str
    where: tuple[str | int, ...] = ()
    """In the configuration file: keys and indexes that lead to the value."""


class PolicyError(BasculeError):
    """The policies cannot be put in force; `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = (it for it in problems if it.severity == "error")
        super().__init__("the policies are not valid" + "".join(map(_line, errors)))
        self.problems = tuple(problems)


def _line(problem: Problem) -> str:
    place = f"{problem.file}:{problem.line}" if problem.line else problem.file
    return f"\n  {place}: {problem.message}"


def dotted(where: Sequence[str | int]) -> str:
    """Write a path as the file would: `roles.support.allow[2]`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.replace("-", "").replace("_", "")
            key = part if bare.isascii() and bare.isalnum() else f'"{part}"'
            text += f".{key}" if text else key
    return text
