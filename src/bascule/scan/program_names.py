"""What programs are called, in the words of a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bascule.scan.started import what_starts

_SUFFIX = re.compile(r"\.(?:exe|cmd|bat|ps1)$")


INTERPRETER = re.compile(
    r"^(?:python[0-9.]*|pypy[0-9.]*|node|nodejs|bun|deno|ruby|perl|java|dotnet|sh|bash|dash)$"
)


def program_name(command: Sequence[str]) -> str:
    """Call a running program as a person would: by its package, its script, or itself."""
    words = title_words(command)
    started = what_starts(words)
    if started.package or not words:
        return started.package
    base = base_name(words[0])
    script = next(operands(words[1:]), "") if INTERPRETER.match(base) else ""
    return base_name(script) or base


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
