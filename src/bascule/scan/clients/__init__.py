"""Where MCP clients keep their servers: one table for all clients and systems.

Paths are written with `/`; `~` is the user's home, `*` stands for any name and `**` for any
number of folders. Paths that a variable can move are written where they are without it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct

System = Literal["linux", "mac", "windows"]
Scope = Literal["user", "project", "system"]
Format = Literal["json", "jsonc", "toml", "yaml"]

Reads = Literal[
    "servers",  # a map by name, or a list of named ones, below `key`
    "projects",  # a map from a project's folder to what has `mcpServers`
    "extension",  # the manifest of one server
    "single",  # one server, at the top
    "settings",  # no servers: what is let through without a question
    "workspace",  # no servers: the folder that was opened
    "registry",  # servers of Docker's catalog that are switched on
    "catalog",  # what those are
    "values",  # their settings
    "compose",  # services, some of which are servers
]


class Location(Struct, frozen=True, array_like=True):
    """One place where one client looks."""

    client: str
    os: Literal["linux", "mac", "windows", "any"]
    scope: Scope
    path: str
    """For `project` relative to the project's folder."""
    format: Format
    reads: Reads
    key: str
    """Where in the file the servers are; dots stand for nesting, or are part of the key."""
    confidence: Literal["source", "background"]
    """`source`: read in the source or the documentation of a client or of a scanner."""


class Moved(Struct, frozen=True, array_like=True):
    """A variable that moves what is below a prefix."""

    variable: str
    prefix: str
    to: Literal["directory", "file"]
    """What the variable names: the folder that takes the prefix's place, or the file."""


class Table(Struct, frozen=True):
    """The table as it is shipped."""

    read: str
    """Date on which the sources were read."""
    sources: tuple[str, ...]
    moved: tuple[Moved, ...]
    locations: tuple[Location, ...]


@lru_cache(maxsize=1)
def table() -> Table:
    """Read the shipped table."""
    data = files("bascule.scan.clients").joinpath("locations.json").read_bytes()
    return msgspec.json.decode(data, type=Table)
