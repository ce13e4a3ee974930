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

Prepare = Callable[[Wanted], Awaitable[Start | None]]
"""Makes a start ready, or refuses it with a `BasculeError`; None for what runs as the
configuration declares it."""


async def as_declared(wanted: Wanted) -> Start | None:
    """Have everything run as it is declared."""
    return None


async def no_record(connector: str, start: Start, wanted: Wanted) -> None:
    """Write nothing."""
