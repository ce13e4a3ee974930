"""What is known of the boundaries of connectors, from the probes that are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from bascule.clock import UnixTime
from bascule.config.model import Config, Connector
from bascule.config.rules import is_exposed
from bascule.decision.gate import Gate
from bascule.decision.networks import Networks
from bascule.decision.snapshot import Gates
from bascule.scan.boundary import Judged, Verdict
from bascule.storage.boundary_verdicts import Kept

STALE_SECONDS = 3600
"""A verdict counts so long at least without another probe from its place."""
_LOOPBACK = ("127.0.0.1", "::1")
MISSED = 3
"""Probes that a place may miss before what it saw last counts no more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one connector stands: the worst that any place has seen."""

    connector: str
    inward: Verdict
    outward: Verdict
    seen: Mapping[str, Judged]
    """By place; without what another version of Bascule kept in another shape."""
    checked_at: UnixTime | None
    """The oldest of the probes that count; None: there is none."""


def subject_of(connector: Connector) -> str:
    """Give what tells one server from another: a verdict is of no other one."""
    told_apart = msgspec.json.encode([connector.url, connector.command])
    return hashlib.sha256(told_apart).hexdigest()[:16]


def standings(kept: Iterable[Kept], config: Config, now: UnixTime) -> dict[str, Standing]:
    """Say how each connector stands; `unknown` where no probe counts."""
    by_connector: dict[str, list[Kept]] = {name: [] for name in config.connectors}
    oldest = stale_before(config, now)
    for it in kept:
        connector = config.connectors.get(it.connector)
        fresh = it.checked_at >= oldest
        if connector is not None and fresh and it.subject == subject_of(connector):
            by_connector[it.connector].append(it)
    return {name: _standing(name, each) for name, each in by_connector.items()}


def stale_before(config: Config, now: UnixTime) -> UnixTime:
    """Give the time before which a probe counts no more."""
    seconds = max(STALE_SECONDS, config.boundary.every_minutes * 60 * MISSED)
    return UnixTime(now - seconds)


def judged_of(kept: Kept) -> Judged | None:
    """Read what a probe found; None where another version of Bascule kept it otherwise."""
    try:
        return msgspec.json.decode(kept.document, type=Judged)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _standing(name: str, each: list[Kept]) -> Standing:
    seen = {it.place: judged_of(it) for it in each}
    return Standing(
        name,
        _worst([it.inward for it in each]),
        _worst([it.outward for it in each]),
        {place: judged for place, judged in seen.items() if judged is not None},
        min((it.checked_at for it in each), default=None),
    )


def _worst(verdicts: list[str]) -> Verdict:
    if "outside" in verdicts:
        return "outside"
    return "inside" if verdicts and set(verdicts) == {"inside"} else "unknown"


def for_nobody(config: Config) -> list[str]:
    """Name the connectors that no client can use: only this machine reaches Bascule.

    Behind a proxy clients have other addresses than the listener's.
    """
    server = config.server
    if is_exposed(server.listen) or server.behind_proxy:
        return []
    return [
        name
        for name, it in config.connectors.items()
        if it.boundary.reachable_from
        and not any(map(Networks(it.boundary.reachable_from).holds, _LOOPBACK))
    ]


def with_closed(gates: Gates, kept: Iterable[Kept], config: Config, now: UnixTime) -> Gates:
    """Close the gates of connectors whose boundary is broken, where that is the rule."""
    if config.boundary.on_breach != "close":
        return gates
    closed = {
        name for name, it in standings(kept, config, now).items() if it.inward == "outside"
    }
    return {
        name: _closed(gate, config.connectors[name]) if name in closed else gate
        for name, gate in gates.items()
    }


def _closed(gate: Gate | None, connector: Connector) -> Gate:
    if gate is None:  # nothing is compared, and nothing is served either
        return Gate(mode=connector.mode or "enforce", closed=True)
    return msgspec.structs.replace(gate, closed=True)
