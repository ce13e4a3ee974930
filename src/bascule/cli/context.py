"""What commands start from: configuration, data directory, state and log."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bascule.errors import BasculeError

if TYPE_CHECKING:  # `--help` must not wait for databases
    from bascule.app.place import Place
    from bascule.config.model import Config, Server
    from bascule.decision.snapshot import Grants, Snapshot
    from bascule.storage.store import Store, Work

T = TypeVar("T")


@dataclass(slots=True)
class CommandContext:
    """The root command's options, and what they lead to, opened on first use."""

    named_config: Path | None = None
    """`--config`, or `$BASCULE_CONFIG`; a file that was named must exist."""
    named_data_dir: Path | None = None
    _place: Place | None = field(default=None, repr=False)

    @property
    def config_path(self) -> Path:
        """Where the configuration is, or would be."""
        return self.named_config or Path("bascule.toml")

    def config(self) -> Config:
        """Read the configuration; a missing default file is an empty one."""
        from bascule.app.files import read_text
        from bascule.config.load import load

        path = self.config_path
        if not path.exists():
            if self.named_config is not None:
                raise BasculeError(
                    f"configuration `{path}` does not exist: make it with `bascule add`, "
                    "or name another with --config"
                )
            return load("", source=str(path))
        return load(read_text(path), source=str(path))

    def policy_files(self) -> dict[str, str]:
        """Read `policies/*.cedar` beside the configuration."""
        from bascule.app.files import read_policy_files

        return read_policy_files(self.config_path)

    def snapshot(self, config: Config) -> Snapshot:
        """Give what decisions depend on: policies, what is approved and granted by now.

        Raises `PolicyError`.
        """
        from functools import partial

        from bascule.app.approved import read_gates
        from bascule.clock import system_clock
        from bascule.decision.snapshot import build_snapshot, without_approvals
        from bascule.storage import access_grants

        gates, now = without_approvals(config), system_clock()
        if any(gate is not None for gate in gates.values()):
            gates = read_gates(self.place(), self.config_path, config, now=now)
        grants: Grants = ()
        if self.has_state():
            grants = self.store().read(partial(access_grants.in_force, now=now))
        return build_snapshot(config, self.policy_files(), gates, grants)

    def has_state(self) -> bool:
        """Tell whether there is a state to read: what only asks makes none."""
        from bascule.app.files import data_path

        if self._server().database != "sqlite":
            return True
        return (data_path(self.named_data_dir) / "state.db").exists()

    def data_dir(self) -> Path:
        """The data directory, created 0700 when missing."""
        from bascule.app.files import data_directory

        return data_directory(self.named_data_dir)

    def place(self) -> Place:
        """Where state, keys and log are; of the configuration only that is read."""
        from bascule.app.place import Place

        if self._place is None:
            self._place = Place(self.data_dir(), self._server())
        return self._place

    def _server(self) -> Server:
        """Read where the state is; a configuration that is broken elsewhere will do.

        Who must revoke something cannot first mend a file. Where it is no TOML at all, a
        data directory that has a SQLite state goes on with that.
        """
        from bascule.app.files import read_text
        from bascule.config.load import ConfigError, load_database
        from bascule.config.model import Server

        path = self.config_path
        if not path.exists():
            return Server()
        try:
            return load_database(read_text(path), source=str(path))
        except ConfigError:
            if (self.data_dir() / "state.db").exists():
                return Server()
            raise

    def store(self) -> Store:
        """The state database, created when missing."""
        return self.place().open_state()

    def change(self, work: Work[T]) -> T:
        """Change users, groups, agents or revocations in one transaction."""
        result = self.store().run(work)
        self.place().note_change()
        return result

    def record_admin(
        self,
        type: str,
        admin: dict[str, str],
        *,
        user: str | None = None,
        agent: str | None = None,
        connector: str | None = None,
    ) -> None:
        """Write one administrative record, with the OS user; durable on return.

        Call it before the change takes effect. Raises `LogUnavailableError`.
        """
        from bascule.app.state import os_user, record_admin

        record_admin(
            self.place(),
            type,
            {**admin, "os_user": os_user()},
            user=user,
            agent=agent,
            connector=connector,
        )

    def close(self) -> None:
        """Let go of what was opened."""
        if self._place is not None:
            self._place.close()
