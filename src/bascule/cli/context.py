"""What commands start from: configuration, data directory, state and log."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, field
from pathlib import Path

from bascule import app
from bascule.config.load import load
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.storage.store import Store


@dataclass(slots=True)
class CommandContext:
    """The root command's options, and what they lead to, opened on first use."""

    named_config: Path | None = None
    """`--config`, or `$BASCULE_CONFIG`; a file that was named must exist."""
    named_data_dir: Path | None = None
    _store: Store | None = field(default=None, repr=False)

    @property
    def config_path(self) -> Path:
        """Where the configuration is, or would be."""
        return self.named_config or Path("bascule.toml")

    def config(self) -> Config:
        """Read the configuration; a missing default file is an empty one."""
        if not self.config_path.exists():
            if self.named_config is None:
                return Config()
            raise BasculeError(
                f"configuration `{self.config_path}` does not exist: create it with "
                "`bascule add`, or name another with `--config`"
            )
        return load(app.read_text(self.config_path), source=str(self.config_path))

    def policy_files(self) -> dict[str, str]:
        """Read `policies/*.cedar` beside the configuration."""
        return app.read_policy_files(self.config_path)

    def data_dir(self) -> Path:
        """The data directory, created 0700 when missing."""
        return app.data_directory(self.named_data_dir)

    def store(self) -> Store:
        """The state database, created and migrated when missing."""
        if self._store is None:
            self._store = app.open_state(self.data_dir())
        return self._store

    def record_admin(
        self,
        type: str,
        admin: dict[str, str],
        *,
        user: str | None = None,
        agent: str | None = None,
        connector: str | None = None,
    ) -> None:
        """Write one administrative record; durable on return.

        Call it before the change takes effect. Raises `LogUnavailableError`.
        """
        app.record_admin(
            self.data_dir(),
            type,
            {**admin, "os_user": f"{getpass.getuser()} (uid {os.getuid()})"},
            user=user,
            agent=agent,
            connector=connector,
        )
