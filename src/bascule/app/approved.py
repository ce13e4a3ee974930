"""The gates of a configuration: what lock and ledger say of each of its connectors."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bascule.app.advisories import assess_all
from bascule.app.approvals import standing
from bascule.app.boundaries import with_closed
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.config.model import Config, Mode
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate, Pins, ToolPin, without_approval
from bascule.decision.snapshot import Gates, without_approvals
from bascule.errors import BasculeError
from bascule.lock.approvals import Verdict
from bascule.lock.declared import differences
from bascule.lock.definition import canonical_digest
from bascule.lock.lock_file import LOCK_NAME, read_lock
from bascule.lock.model import Entry, LockFile, Surface, entry_digest
from bascule.lock.surface import Document, document_digest, parse_document, read_document
from bascule.storage import approvals, boundary_verdicts
from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")

_REASONS: Mapping[str, Reason] = {
    "expired": Reason.APPROVAL_EXPIRED,
    "rejected": Reason.APPROVAL_REJECTED,
    "revoked": Reason.APPROVAL_REJECTED,
}
"""By the state of a verdict; every other one is of an entry that nobody has approved."""


def read_gates(place: Place, config_path: Path, config: Config, *, now: UnixTime) -> Gates:
    """Read lock, ledger and what probes of boundaries found; give each connector's gate.

    What cannot be read is not approved, and the gate says why. Blocks for as long as files
    and database take. Raises `StateUnavailableError`.
    """
    gates = _read_gates(place, config_path, config, now=now)
    kept = place.open_state().read(boundary_verdicts.every)
    return with_closed(gates, kept, config, now)


def _read_gates(place: Place, config_path: Path, config: Config, *, now: UnixTime) -> Gates:
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
    gates = dict(gates_of(config, lock, stands.verdicts, malware))
    for name, entry in lock.connectors.items():
        gate = gates.get(name)
        if gate is not None:
            gates[name] = _with_tools(gate, name, entry, place, config_path)
    return gates


def _with_tools(
    gate: Gate, name: str, entry: Entry, place: Place, config_path: Path
) -> Gate:
    """Add what the approved tools say of themselves.

    The state holds a copy of what was approved; the file beside the lock is for the rest.
    """
    if entry.surface is None or not entry.surface.tools:
        return gate
    wanted = entry.surface.set
    kept = place.open_state().read(partial(approvals.document, digest=wanted))
    try:
        document = (
            read_document(config_path.parent, name, entry.surface)
            if kept is None
            else parse_document(kept)
        )
        if document_digest(document) != wanted:
            raise BasculeError("is not the one that the lock names")
    except (BasculeError, OSError) as exc:
        problem = f"what its tools take cannot be read: {exc}"
        return replace(gate, missing=gate.missing or Reason.LOCK_DRIFTED, problem=problem)
    return replace(gate, tools=tool_pins(document))


def tool_pins(document: Document) -> dict[str, dict[str, ToolPin]]:
    """Give what decisions read of the tools of a surface."""
    return {
        name: {canonical_digest(it): _tool_pin(it) for it in each}
        for name, each in document.tools.items()
    }


def _tool_pin(definition: Mapping[str, Any]) -> ToolPin:
    """Read a definition; a hint that is no boolean says nothing."""
    hints = definition.get("annotations")
    said = hints if isinstance(hints, dict) else {}
    read_only = said.get("readOnlyHint") is True
    return ToolPin(
        schema=msgspec.json.encode(definition.get("inputSchema", {})),
        destructive=not read_only and said.get("destructiveHint") is not False,
        read_only=read_only,
        open_world=said.get("openWorldHint") is not False,
    )


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
