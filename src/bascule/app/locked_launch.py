"""Starting a locked connector: all that is checked between an approval and a process.

`up` and `bascule run` start connectors by this and by nothing else. No registry is ever
asked: what is not in the store does not run.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bascule.app.advisories import assess_all
from bascule.app.approvals import standing
from bascule.app.approved import gates_of
from bascule.app.enclosure import spec_of
from bascule.app.lock_place import LockPlace
from bascule.app.place import Place
from bascule.app.secrets import ReadSecret
from bascule.app.state import record_admin
from bascule.clock import Clock
from bascule.config.model import Config, Mode
from bascule.decision.gate import Gate
from bascule.errors import BasculeError
from bascule.launch.command import Command, LaunchError, operator_environment
from bascule.launch.sandbox.backend import Reached, Report
from bascule.launch.sandbox.choose import choose
from bascule.launch.sandbox.spec import SandboxSpec
from bascule.launch.start import Start
from bascule.lock.declared import differences
from bascule.lock.invisible import visible
from bascule.lock.lock_file import LOCK_NAME, entries_of, read_lock
from bascule.lock.model import FORMAT, Entry, LockError, LockFile
from bascule.storage import approvals

log = logging.getLogger("bascule.sandbox")

MAX_REASON = 1000
"""Characters of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedLaunch:
    """Where locks, approvals and trees are that starts are checked against."""

    place: Place
    config_path: Path
    config: Config
    clock: Clock

    async def start(
        self, command: Command, report: Report, *, mode: Mode | None = None
    ) -> Start | None:
        """Make one start ready, in the order of `_checked`, then enclose it.

        None for what runs as the configuration has it: in `observe` and `warn`, what is not
        locked or not as it was locked. `mode` stands in for the connector's own. Raises
        `LaunchError` in `enforce`, which says what to do.
        """
        wanted = mode or self.config.connectors[command.connector].mode
        spec = await asyncio.to_thread(self._checked, command, wanted)
        if spec is None:
            return None
        return choose(spec, wanted or "enforce").prepare(spec, report)

    def _checked(self, command: Command, mode: Mode | None) -> SandboxSpec | None:
        name = command.connector
        entry = read_lock(self.config_path.parent).connectors.get(name)
        enforced = mode in {None, "enforce"}
        try:
            if entry is None:
                raise LaunchError(f"it is not locked: run `bascule lock {name}`")
            return self._as_locked(command, entry, enforced=enforced)
        except BasculeError as exc:
            if enforced:
                raise LaunchError(f"connector `{name}`: {exc}") from exc
            if mode == "warn":
                log.warning("[%s] runs as declared: %s", name, exc)
            return None

    def _as_locked(self, command: Command, entry: Entry, *, enforced: bool) -> SandboxSpec:
        name = command.connector
        # 1. Somebody who may do so has approved this very entry, and stands by it now.
        problem = self.not_approved(self.gate_of(name, entry))
        if problem and enforced:
            raise LaunchError(problem)
        if problem:
            log.warning("[%s] runs though %s", name, problem)
        # 2. Command, environment and access are those of the entry.
        found = differences(name, self.config, entry)
        if found:
            parts = ", ".join(it.part for it in found)
            raise LaunchError(
                f"the configuration differs from `{LOCK_NAME}` in {parts}: put it back, or "
                f"run `bascule lock {name}` and have it approved"
            )
        # 3. The interpreter is the locked one. 4. Every file of the tree is.
        return spec_of(self._lock_place(), name, entry, command)

    def entry_of(self, name: str) -> Entry:
        """Read what is locked of a connector. Raises `LaunchError`."""
        try:
            return entries_of(read_lock(self.config_path.parent), (name,))[name]
        except LockError as exc:
            raise LaunchError(str(exc)) from exc

    def generation(self) -> int:
        """Give what is another number when anything of approvals has changed.

        Raises `StateUnavailableError`.
        """
        return self.place.open_state().read(approvals.generation)

    def gate_of(self, name: str, entry: Entry) -> Gate:
        """Give what an entry may do, malware and the configuration looked at as well.

        Raises `BasculeError`.
        """
        lock, now = LockFile(FORMAT, {name: entry}), self.clock()
        found = standing(self.place, self.config_path, self.config, lock, now=now)
        known = assess_all(self.place.open_state(), lock.connectors, now=now)
        malware = {it for it, assessed in known.items() if assessed.state == "malware"}
        gate = gates_of(self.config, lock, found.verdicts, malware)[name]
        assert gate is not None  # noqa: S101 - there is one for each entry
        return gate

    def not_approved(self, gate: Gate) -> str:
        """Say why a connector must not run now; empty when it may."""
        if gate.lapsed(self.clock()) is None:
            return ""
        return f"it is not approved: {gate.problem or 'its approval has expired'}"

    @property
    def read_secret(self) -> ReadSecret:
        """Reads what its configuration refers to."""
        return self.place.secrets(self.config.vault)

    def _lock_place(self) -> LockPlace:
        return LockPlace(
            config=self.config,
            config_path=self.config_path.absolute(),
            data_dir=self.place.data_dir.absolute(),
            environment=operator_environment(),
            read_secret=self.read_secret,
            now=self.clock(),
        )


async def record_reached(place: Place, connector: str, reached: Reached) -> None:
    """Have a connection on disk before it is made, and each refusal, which is logged too.

    The server itself sees a network that fails, and says that. Raises
    `LogUnavailableError`.
    """
    told = {"host": reached.host, "port": str(reached.port)}
    if reached.allowed:
        told["address"] = reached.address
        if reached.unreported:
            told["unreported"] = str(reached.unreported)
    else:
        told["reason"] = reached.reason
    record = partial(
        record_admin,
        place,
        "egress.connect" if reached.allowed else "egress.refuse",
        told,
        user=None,
        agent=None,
        connector=connector,
    )
    await asyncio.to_thread(record)
    if not reached.allowed:
        where = f"{reached.host}:{reached.port}" if reached.port else reached.host
        log.warning(
            "[%s] may not reach %s: %s", connector, visible(where), visible(reached.reason)
        )


async def record_refused(place: Place, connector: str, reason: str) -> None:
    """Have on disk why a connector was not started. Raises `LogUnavailableError`."""
    told = {"reason": reason[:MAX_REASON]}
    record = partial(
        record_admin,
        place,
        "server.refuse",
        told,
        user=None,
        agent=None,
        connector=connector,
    )
    await asyncio.to_thread(record)
