"""How one process is started: what is executed, with what, and who attends to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Start:
    """One start of one program. Used once; `close` it whether it was started or not."""

    program: str
    """File that the warden executes."""
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    """Whole environment of that file, and of the warden."""
    folder: str
    """Where it begins."""
    server: str = ""
    """The server's own program, where `program` encloses it."""
    backend: str = "none"
    """What encloses it: `bubblewrap`, `landlock` or `none`."""
    keeps: tuple[int, ...] = ()
    """Descriptors that the program inherits."""
    inner: bool = False
    """The command proper is what the program starts, in sessions of its own; a request to
    end goes there."""

    @property
    def named(self) -> str:
        """Give the program to tell of."""
        return self.server or self.program

    def spawned(self) -> None:
        """Let go of what the program has inherited; called when it has been started."""

    async def attend(self) -> None:
        """Do what must be done before it may run; raises `LaunchError`, and it is ended."""

    def close(self) -> None:
        """Let go of everything; the process has ended, or was never started."""


def plain_start(
    program: str, argv: tuple[str, ...], environment: Mapping[str, str]
) -> Start:
    """Give the start of a program without a sandbox, in the HOME of its environment."""
    return Start(program, argv, environment, environment["HOME"])
