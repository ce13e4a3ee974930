"""What all ways to enclose a server have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from bascule.launch.sandbox.spec import SandboxSpec
from bascule.launch.start import Start


@dataclass(frozen=True, slots=True)
class Reached:
    """A connection that a server made or wanted."""

    host: str
    """As it is approved; of a refused one the name that was looked up, or the address."""
    port: int
    """0 where a name was looked up."""
    allowed: bool
    reason: str = ""
    """Why it was refused."""
    address: str = ""
    """What it was connected to."""
    unreported: int = 0
    """Connections to the same place since the last report of one."""


Report = Callable[[Reached], Awaitable[None]]
"""Told of a connection before it is made, each place once a minute, and of refusals. When
it raises `BasculeError`, the connection is not made."""


async def report_nothing(reached: Reached) -> None:
    """Throw it away."""


BackendName = Literal["bubblewrap", "landlock", "none"]


class Backend(Protocol):
    """One way to enclose a server."""

    @property
    def name(self) -> BackendName:
        """Give what is recorded of it."""

    def unavailable(self) -> str | None:
        """Give why it cannot be used on this machine, and what to do; None when it can."""

    def prepare(self, spec: SandboxSpec, report: Report) -> Start:
        """Make one start ready. Raises `LaunchError`."""
