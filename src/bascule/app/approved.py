"""The gates of a configuration: what lock and ledger say of each of its connectors."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec.structs import replace

from bascule.app.advisories import assess_all
from bascule.app.approvals import standing
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.config.model import Config, Mode
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate, Pins, without_approval
from bascule.decision.snapshot import Gates, without_approvals
from bascule.errors import BasculeError
from bascule.lock.approvals import Verdict
from bascule.lock.declared import differences
from bascule.lock.lock_file import LOCK_NAME, read_lock
from bascule.lock.model import Entry, LockFile, Surface, entry_digest
from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")

_REASONS: Mapping[str, Reason] = {
    "expired": Reason.APPROVAL_EXPIRED,
    "rejected": Reason.APPROVAL_REJECTED,
    "revoked": Reason.APPROVAL_REJECTED,
}
"""By the state of a verdict; every other one is of an entry that nobody has approved."""


def read_gates(place: Place, config_path: Path, config: Config, *, now: UnixTime) -> Gates:
    """Read lock and ledger, and give the gate of each connector.

    What cannot be read is not approved, and the gate says why. Blocks for as long as files
    and database take. Raises `StateUnavailableError`.
    """
    try:
        lock = read_lock(config_path.parent)
        if not lock.connectors:
            return without_approvals(config)
        stands = standing(place, config_path, config, lock, now=now)
        if stands.approvers.pending:
            log.warning("approvals: %s", stands.approvers.pending)
        assessed = assess_all(place.open_state(), lock.connectors, now=now)
    except StateUnavailableError:
        raise
    except (BasculeError, OSError) as exc:
        return {
            name: _unread(connector.mode, str(exc))
            for name, connector in config.connectors.items()
        }
    malware = {name for name, it in assessed.items() if it.state == "malware"}
    return gates_of(config, lock, stands.verdicts, malware)


def stamp_of(config_path: Path) -> tuple[int, ...]:
    """Give what is another one when the lock file is; nothing where there is none."""
    try:
        found = (config_path.parent / LOCK_NAME).stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def gates_of(
    config: Config,
    lock: LockFile,
    verdicts: Mapping[str, Verdict],
    malware: Collection[str] = (),
) -> Gates:
    """Give the gate of each connector; `malware` names those that hold some."""
    gates: dict[str, Gate | None] = {}
    for name in config.connectors:
        gate = gate_of(name, config, lock.connectors.get(name), verdicts.get(name))
        if gate is not None and name in malware:
            problem = f"holds known malware: `bascule monitor {name}` names it"
            gate = replace(gate, missing=Reason.KNOWN_MALWARE, problem=problem)
        gates[name] = gate
    return gates


def gate_of(
    name: str, config: Config, entry: Entry | None, verdict: Verdict | None
) -> Gate | None:
    """Give a connector's gate; None where nothing is compared."""
    mode = config.connectors[name].mode
    if entry is None:
        return without_approval(mode)
    missing, problem = _missing(name, config, entry, verdict)
    surface = entry.surface or Surface(set="", context="")
    return Gate(
        mode=mode or "enforce",
        missing=missing,
        until=None if verdict is None else verdict.expires,
        problem=problem,
        entry=entry_digest(entry),
        pins=_pins(surface),
        instructions=frozenset(surface.instructions),
        server=frozenset(surface.server),
    )


def _missing(
    name: str, config: Config, entry: Entry, verdict: Verdict | None
) -> tuple[Reason | None, str]:
    """Say why an entry is not approved, or not what is configured; None for neither."""
    if drift := differences(name, config, entry):
        parts = ", ".join(it.part for it in drift)
        problem = (
            f"the configuration differs from `{LOCK_NAME}` in {parts}: put it back, or run "
            f"`bascule lock {name}` and have it approved"
        )
        return Reason.LOCK_DRIFTED, problem
    if verdict is None:
        return Reason.NOT_APPROVED, "has no approval"
    if verdict.state != "approved":
        return _REASONS.get(verdict.state, Reason.NOT_APPROVED), verdict.reason
    return None, ""


def _pins(surface: Surface) -> Pins:
    return {
        "tools": _sets(surface.tools),
        "prompts": _sets(surface.prompts),
        "resourceTemplates": _sets(surface.resource_templates),
    }


def _sets(pinned: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(digests) for name, digests in pinned.items()}


def _unread(mode: Mode | None, problem: str) -> Gate:
    """Give the gate of a connector of which nothing can be known."""
    return Gate(mode=mode or "enforce", missing=Reason.NOT_APPROVED, problem=problem)
