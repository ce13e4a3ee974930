"""What a client's command starts, and whether it names one version exactly.

More forgiving than the lock: what wraps a launcher is taken off, and a launcher's options
that are not known are stepped over, because a client runs it anyway.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from bascule.lock.launcher import Asked, parse_command
from bascule.lock.model import LockError, Source
from bascule.lock.requirement import npm_source, python_name, python_source

Ecosystem = Literal["pypi", "npm", "oci"]

SHELLS = frozenset(
    {"sh", "bash", "dash", "zsh", "fish", "cmd", "powershell", "pwsh", "ksh"}
)
_WRAPPERS = frozenset(
    {"env", "sudo", "nohup", "nice", "exec", "command", "stdbuf", "setsid"}
)
_SHELL_GIVEN = re.compile(r"-[a-z]*c|/[cC]|-Command", re.ASCII)
_SHELL_SYNTAX = re.compile(r"[|&;<>`\n]|\$\(")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_SUFFIX = re.compile(r"\.(exe|cmd|bat|ps1)$")
_EXACT = re.compile(r"[v=]*\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_COMMIT = re.compile(r"(?:@|#)[0-9a-f]{40}(?:$|#|&)")
_DEEPEST = 4
_AS_NPX = {
    "bunx": (),
    "pnpx": (),
    "bun": ("x",),
    "pnpm": ("dlx", "exec"),
    "yarn": ("dlx",),
}
"""Launchers that understand what `npx` does, by what they are told first."""
_TAKES_VALUE = frozenset(
    {
        *("-p", "--package", "--python", "--registry", "--index", "--index-url", "--from"),
        *("--default-index", "--extra-index-url", "--with", "--prefix", "--cache-dir"),
        *("--directory", "--project", "--spec", "--pip-args", "--userconfig", "--cache"),
        *(
            "--exclude-newer",
            "--prerelease",
            "--refresh-package",
            "-i",
            "-f",
            "--find-links",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Started:
    """What a command starts."""

    program: str
    """Name of the program at last, without folder and suffix: `npx`, `python`."""
    words: tuple[str, ...]
    """The command without what wraps it."""
    ecosystem: Ecosystem | None = None
    package: str = ""
    version: str = ""
    """The exact one; empty when it is open which."""
    pinned: bool | None = None
    """None where nothing is chosen at the start: a file, a module that is installed."""
    opaque: bool = False
    """A shell runs a text of more than one command."""


def what_starts(command: Sequence[str]) -> Started:
    """Tell what a command starts.

    For any words; a command that is not understood starts its first word.
    """
    words, opaque = _unwrapped(tuple(command), 0)
    if not words:
        return Started("", (), opaque=opaque)
    program = program_of(words[0])
    if opaque:
        return Started(program, words, opaque=True)
    words = _in_common_words(program, words)
    program = program_of(words[0])
    source = _source(words)
    if source is None:
        return Started(program, words)
    return _started(program, words, source)


def program_of(word: str) -> str:
    """Give a program's name without folder and Windows suffix."""
    return _SUFFIX.sub("", re.split(r"[/\\]", word)[-1].lower())


def _unwrapped(words: tuple[str, ...], depth: int) -> tuple[tuple[str, ...], bool]:
    """Take off `env`, `cmd /c`, `sh -c` and the like; whether a shell's text remains."""
    if not words or depth > _DEEPEST:
        return words, False
    program = program_of(words[0])
    if _ASSIGNMENT.fullmatch(words[0]):
        return _unwrapped(words[1:], depth)
    if program in _WRAPPERS:
        rest = list(words[1:])
        while rest and (rest[0].startswith("-") or _ASSIGNMENT.fullmatch(rest[0])):
            rest.pop(0)
        return _unwrapped(tuple(rest), depth + 1) if rest else (words, False)
    if program not in SHELLS:
        return words, False
    given = next((at for at, it in enumerate(words) if _SHELL_GIVEN.fullmatch(it)), None)
    rest_of = words[given + 1 :] if given is not None else ()
    if not rest_of:
        return words, False
    text = rest_of[0] if len(rest_of) == 1 or program != "cmd" else " ".join(rest_of)
    if _SHELL_SYNTAX.search(text):
        return words, True
    try:
        inner = tuple(shlex.split(text)) if " " in text else rest_of
    except ValueError:
        return words, True
    return _unwrapped(inner, depth + 1)


def _in_common_words(program: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Write `bunx`, `pnpm dlx`, `deno run npm:PKG` as `npx`."""
    if program in _AS_NPX:
        firsts = _AS_NPX[program]
        if not firsts:
            return ("npx", *words[1:])
        return ("npx", *words[2:]) if words[1:2] and words[1] in firsts else words
    if program == "deno":
        named = next((it for it in words[1:] if it.startswith("npm:")), None)
        return ("npx", named.removeprefix("npm:").lstrip("/")) if named else words
    return words


def _source(words: tuple[str, ...]) -> Source | None:
    try:
        return _asked(words).source
    except LockError:
        return _guessed(words)


def _asked(words: tuple[str, ...]) -> Asked:
    plain = (program_of(words[0]), *words[1:])
    known = (
        plain
        if plain[0] in ("npx", "npm", "uvx", "uv", "pipx", "docker", "podman")
        else words
    )
    return parse_command(known, distribution_of=lambda program, module: None)


def _guessed(words: tuple[str, ...]) -> Source | None:
    """Take the first word that is no option for the package, or what `--from` names."""
    program, rest = program_of(words[0]), list(words[1:])
    if program == "uv" and rest[:1] == ["tool"]:
        program, rest = "uvx", rest[2:]
    if program == "pipx" and rest[:1] == ["run"]:
        rest = rest[1:]
    if program not in ("npx", "uvx", "pipx"):
        return None
    named = _named(rest)
    if named is None:
        return None
    try:
        if program == "npx":
            return npm_source(named)
        return python_source(named, at_version=True)
    except LockError:
        # An address of a repository: exact when it names a commit.
        return Source("npm" if program == "npx" else "pypi", named)


def _named(rest: list[str]) -> str | None:
    at = 0
    while at < len(rest):
        word = rest[at]
        option, equals, value = word.partition("=")
        if option in ("--from", "--spec", "--package", "-p"):
            return value if equals else next(iter(rest[at + 1 : at + 2]), None)
        if not word.startswith("-"):
            return word
        at += 2 if not equals and option in _TAKES_VALUE else 1
    return None


def _started(program: str, words: tuple[str, ...], source: Source) -> Started:
    if source.kind == "oci":
        is_exact = source.requested.startswith("sha256:")
        return Started(program, words, "oci", source.spec, source.requested, is_exact)
    if source.kind not in ("pypi", "npm") or program_of(words[0]).startswith("python"):
        return Started(program, words)
    ecosystem: Ecosystem = "npm" if source.kind == "npm" else "pypi"
    if re.search(r"[:/]", source.spec.lstrip("@").replace("/", "", 1)):
        exact = _COMMIT.search(source.spec) is not None
        return Started(program, words, ecosystem, source.spec, "", exact)
    package = python_name(source.spec) if ecosystem == "pypi" else source.spec
    version = exact_version(ecosystem, source.requested)
    return Started(program, words, ecosystem, package, version, bool(version))


def exact_version(ecosystem: Ecosystem, requested: str) -> str:
    """Give the one version that is asked for; empty when several will do."""
    if ecosystem == "npm":
        return requested.lstrip("v=") if _EXACT.fullmatch(requested) else ""
    version = re.sub(r"^={2,3}", "", requested)
    try:
        return str(Version(version)) if version != requested else ""
    except InvalidVersion:
        return ""
