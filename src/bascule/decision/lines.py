"""Lines of a file, for those who have to find what a problem is about."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Comments and strings are taken whole, so that a `;` in them ends nothing.
_token = re.compile(r'//[^\r\n]*|"(?:\\.|[^"\\])*"|;|\S', re.DOTALL)


_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_MAX_DEPTH = 100
_MAX_TOKENS = 20_000
"""Of one policy; each character of a name counts."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of one Cedar policy, up to and with its `;`."""

    line: int
    """Where its first token is, from 1."""
    text: str


def statements(text: str) -> list[Statement]:
    """Cut Cedar text into its policies; what follows the last `;` is one too."""
    found: list[Statement] = []
    start: int | None = None
    for token in _token.finditer(text):
        if token[0].startswith("//"):
            continue
        if start is None:
            start = token.start()
        if token[0] == ";":
            found.append(_statement(text, start, token.end()))
            start = None
    if start is not None:
        found.append(_statement(text, start, len(text)))
    return found


def is_too_deep(text: str) -> bool:
    """Tell whether one policy is nested so deeply, or so long, that parsers may crash."""
    depth = 0
    for tokens, token in enumerate(_token.finditer(text)):
        if token[0] in _OPENING:
            depth += 1
        elif token[0] in _CLOSING:
            depth -= 1
        if depth > _MAX_DEPTH or tokens > _MAX_TOKENS:
            return True
    return False


def _statement(text: str, start: int, end: int) -> Statement:
    return Statement(text.count("\n", 0, start) + 1, text[start:end])


def toml_line(text: str, where: Sequence[str | int]) -> int:
    """Find the line on which the value at a path stands; 1 if it cannot be told.

    Reads ever longer beginnings of the file: the first that holds the path ends with the
    statement that sets it. An element of an array is then looked for by its text.
    """
    keys = [part for part in where if isinstance(part, str)]
    lines = text.splitlines()
    begin = 0
    for end in range(1, len(lines) + 1):
        try:
            value = _lookup(tomllib.loads("\n".join(lines[:end])), keys)
        except tomllib.TOMLDecodeError:
            continue
        if value is not None:
            return _element_line(lines[begin:end], value, where[-1]) + begin
        begin = end
    return 1


def _lookup(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _element_line(lines: Sequence[str], value: Any, last: str | int) -> int:
    first = next((n for n, line in enumerate(lines, 1) if line.strip()), 1)
    if isinstance(last, int) and isinstance(value, list) and last < len(value):
        quoted = (f'"{value[last]}"', f"'{value[last]}'")
        holds = (n for n, line in enumerate(lines, 1) if any(q in line for q in quoted))
        return next(holds, first)
    return first
