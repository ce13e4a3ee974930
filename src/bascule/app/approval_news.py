"""What is approved, followed while a server runs; and who is told what of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from bascule.app import state
from bascule.app.approved import read_gates, stamp_of
from bascule.app.load import Loaded, Sources
from bascule.app.own_thread import OwnThread
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Gates
from bascule.errors import BasculeError
from bascule.storage import approvals

log = logging.getLogger("bascule")

WARNING_SECONDS = 7 * 86_400
"""So long before its end an approval is warned of, once a day."""


class ApprovalNews:
    """Looks whether other gates are in force than those of a configuration."""

    def __init__(self, sources: Sources, place: Place) -> None:
        self._sources = sources
        self._place = place
        self._store = place.open_state()
        self._thread = OwnThread("approvals")
        self._generation = -1
        """Of approvals and advisories, at the last look."""
        self._stamp: tuple[int, ...] = ()
        """Of the lock file, at the last look."""

    def look_again(self) -> None:
        """Read everything at the next look, whatever has changed."""
        self._generation = -1

    async def fresh(self, loaded: Loaded, now: UnixTime) -> Gates | None:
        """Give the gates that are in force now; None when nothing has changed."""
        return await self._thread.look(partial(self._look, loaded, now))

    def _look(self, loaded: Loaded, now: UnixTime) -> Gates | None:
        generation = self._store.read(approvals.generation)
        stamp = stamp_of(self._sources.config_path)
        gates = loaded.snapshot.gates
        ended = any(_ends(it, now) for it in gates.values())
        same = (generation, stamp) == (self._generation, self._stamp)
        if same and not ended:
            return None
        fresh = read_gates(self._place, self._sources.config_path, loaded.config, now=now)
        self._generation, self._stamp = generation, stamp
        return None if fresh == gates else fresh


def _ends(gate: Gate | None, now: UnixTime) -> bool:
    """Tell whether an approval is over that was in force; another may have come."""
    return gate is not None and gate.missing is None and gate.lapsed(now) is not None


class ApprovalNotices:
    """Tells log and operator what is not approved, each time that changes."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._missing: dict[str, Reason] = {}
        self._warned: dict[str, str] = {}
        """Day of the last warning, by connector."""

    def tell(self, gates: Gates, now: UnixTime) -> None:
        """Say what is new. Blocks until it is recorded; a full log is told by others."""
        for name, gate, reason in self._news(gates, now):
            admin = {"entry": gate.entry, "mode": gate.mode, "problem": gate.problem}
            admin |= {"reason": reason.value}
            try:
                state.record_admin(
                    self._place,
                    "approval.missing",
                    {key: value[:1000] for key, value in admin.items() if value},
                    user=None,
                    agent=None,
                    connector=name,
                )
            except BasculeError as exc:
                log.error("no record of a missing approval: %s", exc)

    def _news(self, gates: Gates, now: UnixTime) -> Iterator[tuple[str, Gate, Reason]]:
        for name, gate in gates.items():
            if gate is None:
                continue
            reason = gate.lapsed(now)
            if reason is None:
                self._missing.pop(name, None)
                self._warn(name, gate, now)
            elif self._missing.get(name) is not reason:
                self._missing[name] = reason
                if gate.mode != "observe":
                    what = "serves nobody" if gate.enforces else "is served all the same"
                    log.warning(
                        "connector `%s` is not approved and %s: %s",
                        name,
                        what,
                        gate.problem or "its approval has expired",
                    )
                yield name, gate, reason

    def _warn(self, name: str, gate: Gate, now: UnixTime) -> None:
        if gate.until is None or gate.until - now > WARNING_SECONDS:
            return
        day = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
        if self._warned.get(name) != day:
            self._warned[name] = day
            log.warning(
                "the approval of connector `%s` ends at %s: `bascule approve %s` renews it",
                name,
                f"{datetime.fromtimestamp(gate.until, UTC):%Y-%m-%d %H:%M} UTC",
                name,
            )
