"""What a connector's command asks for: `uvx`, `pipx`, `python -m`, `npx`, a file, an image.

A launcher's options are known exactly or the command is refused: an option that takes a
value and was taken for one that does not would make the value look like the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bascule.lock import images, options
from bascule.lock.model import LockError, Source
from bascule.lock.modules import installed_distribution
from bascule.lock.requirement import npm_source, python_source

_PYTHON = re.compile(r"^python(3(\.\d{1,2})?)?$")
_NOT_TEXT = re.compile(r"[\x00\r\n\ud800-\udfff]")
_BETWEEN_REQUIREMENTS = re.compile(r",(?![^\[]*\])\s*(?=[A-Za-z0-9])")
_WINDOWS_SUFFIX = re.compile(r"\.(exe|cmd|bat|ps1)$")

_OPAQUE = {
    **dict.fromkeys(
        ("sh", "bash", "dash", "zsh", "fish", "cmd", "powershell", "pwsh"),
        "what a shell starts cannot be locked: write the program and its arguments "
        "themselves, without the shell",
    ),
    "env": "put variables into the connector's `env` and leave `env` out",
    **dict.fromkeys(("bunx", "bun", "pnpm", "pnpx", "yarn"), "write `npx -y PKG` instead"),
    "deno": "write `npx -y PKG` instead, for a package of npm",
    **dict.fromkeys(
        ("sudo", "nohup", "nice", "timeout", "xargs", "exec"),
        "leave it out: Bascule starts the program itself",
    ),
}

DistributionOf = Callable[[str, str], str | None]
"""Gives the distribution that an interpreter has for a top-level module, or None."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command asks for, before anything was resolved."""

    source: Source
    entry: str = ""
    """Console script, npm bin or module that was asked for; empty for the package's
    default. For a path the interpreter that runs it: `python`, `node`, or empty."""
    arguments: tuple[str, ...] = ()
    """What the program itself is given."""
    extra: tuple[str, ...] = ()
    """Further requirements, as of `uvx --with`; normalised."""
    is_module: bool = False
    """`entry` is a Python module, run as `python -m` would."""
    notes: tuple[str, ...] = ()
    """What a reviewer has to know about the command: assumptions and findings."""


def parse_command(
    command: Sequence[str], *, distribution_of: DistributionOf = installed_distribution
) -> Asked:
    """Tell what a command asks for.

    `distribution_of` is asked just for `python -m MODULE`. Raises `LockError`, and nothing
    else, for any strings; its message says what to write instead.
    """
    if not command or not command[0]:
        raise LockError("the command is empty")
    if any(_NOT_TEXT.search(part) for part in command):
        raise LockError("the command holds a null character, a line break or no text")
    program, rest = command[0], list(command[1:])
    if "://" in program:
        return _only_a_url(program, rest)
    name = _WINDOWS_SUFFIX.sub("", re.split(r"[/\\]", program)[-1].lower())
    if name in _OPAQUE:
        raise LockError(f"`{name}`: {_OPAQUE[name]}")
    if _PYTHON.match(name):
        return _python(program, rest, distribution_of)
    if name in _LAUNCHERS:
        return _LAUNCHERS[name](rest)
    if program.endswith(".mcpb"):
        return Asked(Source("mcpb", program), arguments=tuple(rest))
    if "/" in program or "\\" in program:
        return Asked(Source("path", program), arguments=tuple(rest))
    raise LockError(
        f"`{program}` is no launcher that is known: write `uvx PKG`, `npx -y PKG`, or the "
        "program's path"
    )


def parse_url(url: str) -> Asked:
    """Tell what a remote connector's URL asks for. Raises `LockError`."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise LockError("the URL is not valid") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise LockError("a connector's URL begins with `https://` and names a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise LockError("a connector's URL holds neither user, password nor fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise LockError(
            "the URL holds characters beyond ASCII or a space: write hosts in their ASCII "
            "form (`xn--…`) and all else percent-encoded"
        )
    return Asked(Source("http", url))


def _only_a_url(url: str, rest: list[str]) -> Asked:
    if rest:
        raise LockError("a URL takes no arguments")
    return parse_url(url)


def _uvx(rest: list[str]) -> Asked:
    read = options.read(rest, options.UVX, "uvx")
    spec, name = read.one("from"), read.first
    if spec is None:
        source, entry = python_source(name, at_version=True), ""
    else:
        source, entry = python_source(spec), _script(name)
        if _PYTHON.match(entry):
            raise LockError("`uvx --from PKG` names a script of the package, not `python`")
    extra = _requirements(
        [part for each in read.all("with") for part in _BETWEEN_REQUIREMENTS.split(each)]
    )
    return Asked(source, entry, read.after, extra)


def _uv(rest: list[str]) -> Asked:
    if rest[:2] == ["tool", "run"]:
        return _uvx(rest[2:])
    if rest[:1] == ["x"]:
        return _uvx(rest[1:])
    raise LockError(
        "of `uv`, only `uv tool run` can be locked: write `uvx PKG`, or the path of the "
        "program"
    )


def _pipx(rest: list[str]) -> Asked:
    if rest[:1] != ["run"]:
        raise LockError("of `pipx`, only `pipx run PKG` can be locked")
    read = options.read(rest[1:], options.PIPX, "pipx run")
    spec, name = read.one("spec"), read.first
    extra = _requirements(read.all("with"))
    if spec is None:
        return Asked(python_source(name), "", read.after, extra)
    return Asked(python_source(spec), _script(name), read.after, extra)


def _requirements(specs: Sequence[str]) -> tuple[str, ...]:
    found = [python_source(spec) for spec in specs]
    return tuple(source.spec + source.requested for source in found)


def _python(program: str, rest: list[str], distribution_of: DistributionOf) -> Asked:
    read = options.read(rest, options.PYTHON, "python", stop_at=("m",))
    module = read.one("m")
    if module is None:
        return Asked(Source("path", _file(read.first, "python")), "python", read.after)
    if not all(part.isidentifier() and part.isascii() for part in module.split(".")):
        raise LockError("`python -m` names no module")
    top = module.split(".")[0]
    found = distribution_of(program, top)
    source = python_source(found or top)
    note = (
        f"module `{top}` belongs to `{source.spec}`, as the interpreter's metadata say"
        if found
        else f"module `{top}` is taken to belong to `{source.spec}`: it is not installed"
    )
    return Asked(source, module, read.after, is_module=True, notes=(note,))


def _node(rest: list[str]) -> Asked:
    read = options.read(rest, options.NODE, "node")
    return Asked(Source("path", _file(read.first, "node")), "node", read.after)


def _npx(rest: list[str]) -> Asked:
    read = options.read(rest, options.NPX, "npx")
    return _npm_asked(read, read.after)


def _npm(rest: list[str]) -> Asked:
    if rest[:1] not in (["exec"], ["x"]):
        raise LockError("of `npm`, only `npm exec -- PKG` can be locked")
    read = options.read(rest[1:], options.NPX, "npm exec")
    if read.ended or not any(part.startswith("-") for part in read.after):
        return _npm_asked(read, read.after)
    # npm itself would take options that stand behind the package, up to `--`.
    if read.after[:1] != ("--",):
        raise LockError("write `npm exec -- PKG ARGUMENTS`: npm would take the options")
    return _npm_asked(read, read.after[1:])


def _npm_asked(read: options.Read, arguments: tuple[str, ...]) -> Asked:
    packages = read.all("package")
    if not packages:
        return Asked(npm_source(read.first), "", arguments)
    source, *others = (npm_source(package) for package in packages)
    extra = tuple(f"{each.spec}@{each.requested or 'latest'}" for each in others)
    return Asked(source, _script(read.first), arguments, extra)


def _docker(rest: list[str]) -> Asked:
    if rest[:1] != ["run"]:
        raise LockError("of `docker`, only `docker run IMAGE` can be locked")
    read = options.read(rest[1:], options.DOCKER, "docker run")
    source = images.image_source(read.first)
    entry = read.one("entrypoint") or ""
    notes = images.findings(read, source)
    return Asked(source, entry, read.after, notes=notes)


def _script(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise LockError(f"`{name}` is no name of a program in a package")
    return name


def _file(name: str, interpreter: str) -> str:
    if name == "-":
        raise LockError(f"`{interpreter} -` reads a program that nobody can lock")
    return name


_LAUNCHERS: dict[str, Callable[[list[str]], Asked]] = {
    "uvx": _uvx,
    "uv": _uv,
    "pipx": _pipx,
    "node": _node,
    "nodejs": _node,
    "npx": _npx,
    "npm": _npm,
    "docker": _docker,
    "podman": _docker,
}
