"""Entries: what roles, ceilings, scopes and toolsets are written in.

    CONNECTOR/TOOL            a tool
    CONNECTOR/prompt:NAME     a prompt
    CONNECTOR/resource:URI    a resource
    CONNECTOR/*               everything of the connector
    CONNECTOR:NAME            a toolset

In TOOL, NAME and URI a `*` matches any run of characters, the empty one too; every other
character stands for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bascule.errors import BasculeError

TargetKind = Literal["tool", "prompt", "resource"]

_CONNECTOR = r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
_entry = re.compile(rf"(?P<connector>{_CONNECTOR})/(?P<rest>.+)", re.DOTALL)
_toolset = re.compile(rf"(?P<connector>{_CONNECTOR}):(?P<name>[^\s/*:][^\s/*]*)")
_PREFIXES: dict[str, TargetKind] = {"prompt:": "prompt", "resource:": "resource"}
RESERVED = tuple(_PREFIXES)
"""What a tool in an entry cannot begin with; only `CONNECTOR/*` reaches such a tool."""


class EntryError(BasculeError):
    """An entry cannot be read; the message begins with its path in the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Names of one connector."""

    text: str
    connector: str
    kind: TargetKind | None
    """None: every kind, and then `pattern` is `*`."""
    pattern: str

    @property
    def is_glob(self) -> bool:
        """Whether more than one name can match."""
        return "*" in self.pattern

    def matches(self, connector: str, kind: str, name: str) -> bool:
        """Whether the entry covers this tool, prompt or resource."""
        if connector != self.connector:
            return False
        if self.kind is None:
            return True
        if kind != self.kind or (kind == "tool" and name.startswith(RESERVED)):
            return False
        return glob_matches(self.pattern, name)


@dataclass(frozen=True, slots=True)
class ToolsetName:
    """A toolset, by its whole name `CONNECTOR:NAME`."""

    text: str
    connector: str


def parse_entry(text: str, *, where: str) -> Entry | ToolsetName:
    """Read one entry.

    `where` is the entry's path in the file, for instance `roles.support.allow[2]`. Raises
    `EntryError`. Whether the connector or toolset exists is not looked at.
    """
    if found := _toolset.fullmatch(text):
        return ToolsetName(text, found["connector"])
    found = _entry.fullmatch(text)
    if found is None or text != text.strip():
        raise EntryError(f"{where}: `{text}` {_complaint(text)}")
    connector, rest = found["connector"], found["rest"]
    if rest == "*":
        return Entry(text, connector, None, "*")
    for prefix, kind in _PREFIXES.items():
        if rest.startswith(prefix):
            if rest == prefix:
                raise EntryError(f"{where}: `{text}` names no {kind}")
            return Entry(text, connector, kind, rest.removeprefix(prefix))
    return Entry(text, connector, "tool", rest)


def _complaint(text: str) -> str:
    if "*" in text.partition("/")[0]:
        return "covers more than one connector: write one entry for each, `CONNECTOR/*`"
    return (
        "is neither `CONNECTOR/TOOL`, `CONNECTOR/prompt:NAME`, `CONNECTOR/resource:URI`, "
        "`CONNECTOR/*` nor a toolset `CONNECTOR:NAME`"
    )


def glob_matches(pattern: str, text: str) -> bool:
    """Whether `*` in the pattern can be filled so that it gives the text.

    Takes each literal piece at its first place, so time is linear in the text for each
    piece whatever the pattern; a regular expression could be made to backtrack.
    """
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last):
        return False
    if not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
