"""Which process a request needs, and who must hear of it before it is started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.launch.start import Start


@dataclass(frozen=True, slots=True)
class Wanted:
    """The process that a request needs."""

    user: str
    """For whom it is; empty for the one that all share."""
    revision: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """What its client can be asked; nothing, where several clients share a process."""
    client_info: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells processes apart."""
        return self.user, self.revision


Record = Callable[[str, Start, Wanted], Awaitable[None]]
"""Writes that a connector's program is about to be run. Raises `BasculeError`."""

Prepare = Callable[[Wanted], Awaitable[Start]]
"""Makes a start ready, or refuses it with a `BasculeError`."""


async def no_record(connector: str, start: Start, wanted: Wanted) -> None:
    """Write nothing."""
