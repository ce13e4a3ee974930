"""Where connectors are locked, installed and verified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.app.secrets import ReadSecret
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.launch.sandbox.backend import Reached
from bascule.lock.cooldown import Cooldown, Fixes
from bascule.lock.resolve import Progress
from bascule.lock.store import Store


async def _report_nothing(connector: str, reached: Reached) -> None:
    """Throw it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPlace:
    """Where connectors are locked: a configuration, the files beside it, and a store."""

    config: Config
    config_path: Path
    """Absolute."""
    beside: Path | None = None
    """Folder of the lock file and what it refers to; None for the configuration's."""
    data_dir: Path
    environment: Mapping[str, str]
    """The operator's: resolvers find registries and credentials there."""
    read_secret: ReadSecret
    now: UnixTime
    cooldown: Cooldown = field(default_factory=Cooldown)
    fixes: Fixes | None = None
    """What is known of advisories: a version that fixes one may be younger."""
    artifacts: Path | None = None
    """A folder of packages to install from, in place of the registry."""
    with_access: bool = False
    """Give servers that nobody approved yet, when they are asked what they serve, the
    secrets, files and hosts that they are declared to have."""
    approved: frozenset[str] = frozenset()
    """Connectors whose locked entry is approved: as long as nothing but what they serve
    has changed, they are asked as they run."""
    report: Callable[[str, Reached], Awaitable[None]] = _report_nothing
    """Told of the connections of a connector while it is asked; see `Report`."""
    progress: Progress = lambda _: None
    """Hears what is being done."""

    @property
    def folder(self) -> Path:
        """Where the lock file is, and what it refers to."""
        return self.beside or self.config_path.parent

    @property
    def store(self) -> Store:
        """Where trees lie."""
        return Store(self.data_dir / "store")

    @property
    def runtimes(self) -> Path:
        """Where digests of interpreters are remembered."""
        return self.data_dir / "store" / "runtimes.json"
