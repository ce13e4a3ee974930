"""MCP servers that run and speak over their standard input and output.

Nobody but who started such a server can ask it anything: they are told by what they are
called, and by the program that they run, which is read and never started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bascule.lock.launcher import parse_command
from bascule.lock.model import LockError
from bascule.scan.local_view import LocalView, Process, Processes, ancestors
from bascule.scan.program_code import half_of
from bascule.scan.program_names import INTERPRETER, base_name, operands, title_words

_MCP = re.compile(r"(?<![a-z0-9])(?:mcp|fastmcp|modelcontextprotocol)(?![a-z0-9])")
_LAUNCHER = re.compile(r"^(?:uvx?|pipx|npx|npm|pnpm|pnpx|yarn|bunx|docker|podman|nerdctl)$")
NOTHING = "/dev/null"
_PACKAGES = ("site-packages", "node_modules", "dist-packages")


@dataclass(frozen=True, slots=True)
class StdioServer:
    """A server, which may be several processes: a launcher and what it started."""

    family: tuple[Process, ...]
    """Those that hear the same, the one that began it first."""
    sign: str
    """How it was recognised."""
    through_bascule: bool
    """A process that is called Bascule started it."""
    seen_to_speak: bool
    """The system shows that it speaks over pipes, and over no port."""

    @property
    def process(self) -> Process:
        """Give the one that the others descend from."""
        return self.family[0]


def stdio_servers(
    view: LocalView, is_named: Callable[[Sequence[str]], bool] = lambda _command: False
) -> list[StdioServer]:
    """Give the MCP servers among the processes that may speak over pipes.

    `is_named` tells whether somebody has named a command as that of a server.
    """
    signs = {
        process.pid: sign
        for process in view.processes.values()
        if _may_speak(process) and (sign := _sign(process, is_named))
    }
    families: dict[int, list[Process]] = {}
    for pid in signs:
        for member in (lineage := _lineage(view.processes[pid], view.processes, signs)):
            family = families.setdefault(lineage[0].pid, [])
            if member not in family:
                family.append(member)
    return [_server(tuple(family), signs, view) for family in families.values()]


def _server(
    family: tuple[Process, ...], signs: Mapping[int, str], view: LocalView
) -> StdioServer:
    above = ancestors(family[0], view.processes)
    listens = {it.process.pid for it in view.listeners if it.process is not None}
    return StdioServer(
        family=family,
        sign=next(signs[it.pid] for it in family if it.pid in signs),
        through_bascule=any(is_bascule(it.command) for it in above),
        seen_to_speak=all(it.input is not None and it.pid not in listens for it in family),
    )


def _may_speak(process: Process) -> bool:
    """Tell whether it may speak over pipes.

    SDKs put the pipes on other numbers, and nothing in their place, so that a stray `print`
    breaks no message. Who reads from a terminal or a file speaks with nobody.
    """
    if is_bascule(process.command):
        return False
    return process.input in {None, NOTHING} or _is_piped(process)


def _is_piped(process: Process) -> bool:
    both = (process.input or "", process.output or "")
    return all(it.startswith(("pipe:", "socket:")) for it in both)


def _lineage(
    process: Process, processes: Processes, signs: Mapping[int, str]
) -> tuple[Process, ...]:
    """Give a server's launchers, the first of them first, and the server itself.

    They hear the same; where the system does not tell what they hear, they are those that
    are recognised too.
    """
    found = [process]
    for it in ancestors(process, processes):
        if process.channels is None or it.channels is None:
            belongs = it.pid in signs
        else:
            belongs = bool(process.channels & it.channels)
        if is_bascule(it.command):
            break
        if belongs:
            found.append(it)
    return tuple(reversed(found))


def is_bascule(command: Sequence[str]) -> bool:
    """Tell whether a command runs Bascule itself, by its name."""
    program = base_name(command[0]) if command else ""
    script = next(operands(command[1:]), "")
    if INTERPRETER.match(program):
        return base_name(script) == "bascule" or script.startswith("bascule.")
    return program == "bascule"


def _sign(process: Process, is_named: Callable[[Sequence[str]], bool]) -> str:
    if is_named(process.command):
        return "by the command that names it"
    script = _script(process)
    half = "" if script is None else half_of(script)
    if half != "client" and _names_mcp(process.command):
        return "by its name"
    return f"by what {script.name} imports" if script and half == "server" else ""


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
    if INTERPRETER.match(base) and "-c" not in words[1:]:
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
        or not INTERPRETER.match(base_name(words[0]))
        or {"-m", "-c"} & set(words[1:3])
    ):
        return None
    name = next(operands(words[1:]), None)
    return None if name is None else Path(process.directory or "/") / name
