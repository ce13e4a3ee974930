"""What one start of a stdio server may touch, and which paths may never be among that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.launch.command import LaunchError

MEMORY_BYTES = 2 << 30
PROCESSES = 256
"""Threads count as well: an idle Node.js has eleven."""
OPEN_FILES = 1024
SCRATCH_BYTES = 256 << 20
"""What HOME, TMPDIR and shared memory may hold, each."""

HOME = "/home/connector"
TEMPORARY = "/tmp"  # noqa: S108 - inside of the sandbox, where it is its own
SEARCHED = "/usr/local/bin:/usr/bin:/bin"

_IMPATIENT = {
    "npm_config_fetch_retries": "0",
    "PIP_RETRIES": "0",
    "UV_HTTP_RETRIES": "0",
}
"""Package managers ask a registry once: where none can be reached, they would try for
minutes, and a server that installs something in a call would not answer meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """One start. Paths are absolute, and all that is not named cannot be read."""

    connector: str
    tree: Path
    """Program files, read-only."""
    interpreter: Path
    """Executable."""
    installation: tuple[Path, ...] | None = None
    """What belongs to it and is readable; None: see `installation_of`."""
    argv: tuple[str, ...] = field(repr=False)
    """Whole, the interpreter first."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What is declared, secrets read; HOME and TMPDIR are the sandbox's."""
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()
    """Folders that are there and hold nothing, in the place of what is not granted; only
    bubblewrap makes them."""
    may_reach: tuple[str, ...] = ()
    """HOST:PORT pairs."""
    private: tuple[str, ...] = ()
    """HOST:PORT pairs that may have private addresses."""
    forbidden: tuple[Path, ...] = ()
    """Neither these nor what is in them may be granted: keys, state, the admin socket."""
    scratch: Path | None = None
    """Where a backend that has no memory for them makes HOME and TMPDIR, and removes them;
    None for the system's temporary folder."""
    memory_bytes: int = MEMORY_BYTES
    """Of each process."""
    processes: int = PROCESSES
    open_files: int = OPEN_FILES

    def whole_environment(
        self, home: str = HOME, temporary: str = TEMPORARY
    ) -> dict[str, str]:
        """Give the environment: what is the same everywhere, and what is declared."""
        return {
            "PATH": SEARCHED,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            **_IMPATIENT,
            **self.environment,
            "HOME": home,
            "TMPDIR": temporary,
        }


@dataclass(frozen=True, slots=True)
class Grants:
    """Paths of the host that are in the sandbox, each with what it leads to."""

    read: tuple[tuple[Path, Path], ...]
    """What lies there on the host, and where it appears."""
    write: tuple[tuple[Path, Path], ...]


def installation_of(interpreter: Path) -> Path:
    """Give the folder of an interpreter's whole installation.

    That is the folder above its `bin`; `/usr` for one that the system brings. Raises
    `LaunchError` when that folder would be a home or the whole machine.
    """
    real = _real(interpreter, "interpreter")
    if real.parent.name != "bin":
        raise LaunchError(
            f"`{real}` does not lie in a folder `bin`: what belongs to it cannot be told"
        )
    prefix = real.parent.parent
    if prefix == Path("/") or _of_system(prefix):
        return Path("/usr")
    if prefix == Path.home().resolve() or prefix.parent == Path("/home"):
        raise LaunchError(
            f"the interpreter `{real}` is installed straight into `{prefix}`, and all of "
            "that would be readable: install it into a folder of its own"
        )
    return prefix


def grants_of(spec: SandboxSpec) -> Grants:
    """Give what is granted, checked. Raises `LaunchError`.

    A path is looked up once, here, and what it leads to is what is mounted. A path inside
    of one that the server may change is refused, since the server could make it lead
    elsewhere before the next start.
    """
    write = tuple((_real(it, "write"), it) for it in spec.write)
    read = tuple((_real(it, "read"), it) for it in spec.read)
    tree = _real(spec.tree, "tree")
    installed = spec.installation
    if installed is None:
        installed = (installation_of(spec.interpreter),)
    for real, named in (*read, *write):
        _refuse_forbidden(real, named, spec.forbidden)
        _refuse_system(real, named)
        for changed, _ in write:
            if changed != real and changed in real.parents:
                raise LaunchError(
                    f"`{named}` lies in `{changed}`, which the server may change: grant "
                    "one of the two"
                )
    programs = (tree, *(_real(it, "interpreter") for it in installed))
    for real, named in write:
        if _of_system(real) or any(_touch(real, it) for it in programs):
            raise LaunchError(f"`{named}` may not be written to: programs are there")
    for prefix in installed:
        for path in spec.forbidden:
            if prefix == path or prefix in path.parents:
                raise LaunchError(
                    f"the interpreter's `{prefix}` holds `{path}`: move either"
                )
    own = tuple((_real(it, "interpreter"), it) for it in installed if not _of_system(it))
    return Grants(read=(*own, *read, (tree, spec.tree)), write=write)


def _touch(path: Path, other: Path) -> bool:
    return path == other or path in other.parents or other in path.parents


def _of_system(path: Path) -> bool:
    return Path("/usr") in (path, *path.parents)


def _real(path: Path, what: str) -> Path:
    if not path.is_absolute():
        raise LaunchError(f"`{path}` is no absolute path ({what})")
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise LaunchError(f"`{path}` cannot be found ({what})") from exc


def _refuse_forbidden(real: Path, named: Path, forbidden: Iterable[Path]) -> None:
    for path in map(Path.resolve, forbidden):
        if _touch(real, path):
            raise LaunchError(
                f"`{named}` cannot be granted: it holds or lies in `{path}`, which no "
                "server may reach"
            )


_SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev", "/run", "/etc", "/boot", "/")))


def _refuse_system(real: Path, named: Path) -> None:
    for path in _SYSTEM:
        if real == path or (path != Path("/") and path in real.parents):
            raise LaunchError(f"`{named}` cannot be granted: `{path}` is the machine's own")
