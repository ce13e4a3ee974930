"""MCP servers that run and speak over their standard input and output.

Nobody but who started such a server can ask it anything: they are told by what they are
called, and by the program that they run, which is read and never started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bascule.lock.launcher import parse_command
from bascule.lock.model import LockError
from bascule.scan.local_view import LocalView, Process, Processes, ancestors
from bascule.scan.program_names import base_name, operands, title_words

_MCP = re.compile(r"(?<![a-z0-9])(?:mcp|fastmcp|modelcontextprotocol)(?![a-z0-9])")
_INTERPRETER = re.compile(
    r"^(?:python[0-9.]*|pypy[0-9.]*|node|nodejs|bun|deno|ruby|perl|java|dotnet|sh|bash|dash)$"
)
_LAUNCHER = re.compile(r"^(?:uvx?|pipx|npx|npm|pnpm|pnpx|yarn|bunx|docker|podman|nerdctl)$")
_PACKAGES = ("site-packages", "node_modules", "dist-packages")
_SERVER_CODE = re.compile(
    rb"\bmcp\.server\b|\bfastmcp\b|\bFastMCP\b|modelcontextprotocol/(?:sdk/)?server"
    rb"|\bStdioServerTransport\b|\bstdio_server\b"
)
_MAX_CODE = 1 << 18
"""Bytes of a program that are looked through: what it imports stands at its beginning."""


@dataclass(frozen=True, slots=True)
class StdioServer:
    """A server, which may be several processes: a launcher and what it started."""

    process: Process
    """The one that the others descend from."""
    family: tuple[Process, ...]
    sign: str
    """How it was recognised."""
    through_bascule: bool
    """A process that is called Bascule started it."""

    @property
    def seen_to_speak(self) -> bool:
        """Whether the system shows that its standard input and output are pipes."""
        return self.process.input is not None


def stdio_servers(view: LocalView) -> list[StdioServer]:
    """Give the MCP servers among the processes that speak over pipes."""
    return [
        StdioServer(
            family[0],
            family,
            sign,
            any(is_bascule(it.command) for it in ancestors(family[0], view.processes)),
        )
        for family in _families(view.processes)
        if not any(is_bascule(it.command) for it in family)
        and (sign := next(filter(None, map(_sign, family)), ""))
    ]


def is_bascule(command: Sequence[str]) -> bool:
    """Tell whether a command runs Bascule itself, by its name."""
    program = base_name(command[0]) if command else ""
    script = next(operands(command[1:]), "")
    if _INTERPRETER.match(program):
        return base_name(script) == "bascule" or script.startswith("bascule.")
    return program == "bascule"


def _families(processes: Processes) -> Iterator[tuple[Process, ...]]:
    """Group the processes that share one standard input, the first of each group first.

    Where the system does not say what that is, those stand together that descend from one
    another and are recognised.
    """
    groups: dict[str, list[Process]] = {}
    for process in processes.values():
        groups.setdefault(_group(process, processes), []).append(process)
    groups.pop("", None)
    for members in groups.values():
        pids = {it.pid for it in members}
        yield tuple(sorted(members, key=lambda it: (it.parent in pids, it.pid)))


def _group(process: Process, processes: Processes) -> str:
    if process.input is None:
        eldest = process
        for it in ancestors(process, processes):
            if not _names_mcp(it.command):
                break
            eldest = it
        return f"pid:{eldest.pid}"
    both = (process.input, process.output or "")
    piped = all(it.startswith(("pipe:", "socket:")) for it in both)
    return process.input if piped else ""


def _sign(process: Process) -> str:
    if _names_mcp(process.command):
        return "by its name"
    script = _script(process)
    if script is not None and _is_server_code(script):
        return f"by what {script.name} imports"
    return ""


def _names_mcp(command: Sequence[str]) -> bool:
    return any(_MCP.search(name.lower()) for name in _names(title_words(command)))


def _names(words: Sequence[str]) -> Iterator[str]:
    """Give what a command calls its program: itself, its script or module, its package."""
    try:
        asked = parse_command(words, distribution_of=lambda _program, _module: None)
    except LockError:
        yield from _names_at_sight(words)
    else:
        spec = asked.source.spec
        yield _package_part(spec) if asked.source.kind == "path" else spec
        yield asked.entry


def _names_at_sight(words: Sequence[str]) -> Iterator[str]:
    base = base_name(words[0]) if words else ""
    yield base
    given = list(operands(words[1:]))
    if _INTERPRETER.match(base) and "-c" not in words[1:]:
        yield from map(_package_part, given[:1])
    elif _LAUNCHER.match(base):
        # The package is among the first words, behind `run` or `exec` and options.
        yield from given[:4]


def _package_part(script: str) -> str:
    """Give a script's name, with its package where it belongs to an installed one."""
    parts = PurePosixPath(script.replace("\\", "/")).parts
    for folder in _PACKAGES:
        if folder in parts:
            last = len(parts) - parts[::-1].index(folder)
            return "/".join(parts[last:])
    return parts[-1] if parts else script


def _script(process: Process) -> Path | None:
    """Find the file that an interpreter runs; None for none that can be told."""
    words = title_words(process.command)
    if (
        not words
        or not _INTERPRETER.match(base_name(words[0]))
        or {"-m", "-c"} & set(words[1:3])
    ):
        return None
    name = next(operands(words[1:]), None)
    return None if name is None else Path(process.directory or "/") / name


def _is_server_code(script: Path) -> bool:
    try:
        if not script.is_file():
            return False
        with script.open("rb") as file:
            return _SERVER_CODE.search(file.read(_MAX_CODE)) is not None
    except OSError:
        return False
