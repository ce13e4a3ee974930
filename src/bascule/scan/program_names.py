"""What programs are called, in the words of a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_SUFFIX = re.compile(r"\.(?:exe|cmd|bat|ps1)$")


def base_name(word: str) -> str:
    """Give a program's name without folder and Windows suffix, in lower case."""
    return _SUFFIX.sub("", re.split(r"[/\\]", word)[-1].lower())


def operands(words: Iterable[str]) -> Iterator[str]:
    """Give the words that are no options."""
    return (it for it in words if it and not it.startswith("-"))


def title_words(command: Sequence[str]) -> list[str]:
    """Give the words of a running process; npm writes its own as one with spaces."""
    if len(command) == 1 and command[0].startswith(("npm exec ", "npx ")):
        return command[0].split()
    return list(command)
