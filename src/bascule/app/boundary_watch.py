"""Boundaries of connectors, probed while a server runs: at start, on change, by the clock.

Each replica probes from its own host and at a moment of its own, since each host sees
another network; what counts for a connector is the worst that any of them sees. Requests
never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from bascule.app import state
from bascule.app.boundaries import (
    for_nobody,
    judged_of,
    stale_before,
    standings,
    subject_of,
)
from bascule.app.boundary_probe import Asked, judge_all
from bascule.app.own_loop import in_own_loop
from bascule.app.place import Place
from bascule.app.timers import Timer
from bascule.app.vantages import dials_of
from bascule.clock import UnixTime, monotonic, system_clock, system_entropy
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.scan.boundary import Judged
from bascule.scan.finding import Finding
from bascule.storage import approvals, boundary_verdicts
from bascule.storage.boundary_verdicts import Kept
from bascule.storage.store import StateUnavailableError

log = logging.getLogger("bascule")

TICK_SECONDS = 0.25
SPREAD_SECONDS = 30.0
"""Replicas that start together begin to probe within this time."""
RETRY_SECONDS = 60.0
REFUSALS_SECONDS = 7 * 86_400
"""So long what a sandbox refused is a finding."""
MAX_RECORDED = 40
"""Findings of one connector in one probe."""
MAX_RECORDED_CHARACTERS = 1000


class HostedServers(Protocol):
    """The stdio servers of this host."""

    def processes(self) -> Mapping[str, frozenset[int]]:
        """Give the ids of the processes that run now, by connector."""

    def kept_off(self) -> Mapping[str, Mapping[str, UnixTime]]:
        """Give what sandboxes refused since the last time, and when, by connector."""


class BoundaryWatch:
    """Probes, keeps what it sees, records what is new, and has breaches closed."""

    def __init__(
        self,
        place: Place,
        config_path: Path,
        config: Callable[[], Config],
        hosted: HostedServers,
    ) -> None:
        """`config` gives the configuration that is in force."""
        self._place = place
        self._folder = config_path.absolute().parent
        self._config = config
        self._hosted = hosted
        self._here = socket.gethostname()
        self._probed: Config | None = None
        self._warned: Config | None = None
        self._due = monotonic() + (SPREAD_SECONDS * _share() if place.is_shared else 0)
        self._refused: dict[str, dict[str, UnixTime]] = {}
        self.counts: Mapping[str, int] = {}
        """Connectors by verdict, after the last probe."""

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while it serves."""
        return [Timer(TICK_SECONDS, self._probe_when_due)]

    async def _probe_when_due(self) -> None:
        config = self._config()
        self._warn(config)
        changed = self._probed is not None and self._probed is not config
        if config.boundary.every_minutes == 0 or not (changed or monotonic() >= self._due):
            return
        self._probed = config
        # One that fails is done again soon; those of many hosts drift apart.
        self._due = monotonic() + RETRY_SECONDS
        try:
            await self._probe(config)
        except StateUnavailableError as exc:
            log.debug("boundaries: %s", exc)  # who serves tells of that
            return
        except (BasculeError, OSError) as exc:
            log.error("boundaries could not be probed: %s", exc)
            return
        minutes = config.boundary.every_minutes * (0.9 + 0.2 * _share())
        self._due = monotonic() + minutes * 60

    def _warn(self, config: Config) -> None:
        """Say once of each configuration what nobody can use."""
        if self._warned is config:
            return
        self._warned = config
        for name in for_nobody(config):
            log.warning(
                "connector `%s` can be used by nobody: Bascule listens on loopback, which "
                "its `boundary.reachable_from` does not have",
                name,
            )

    async def _probe(self, config: Config) -> None:
        for name, places in self._hosted.kept_off().items():
            self._refused.setdefault(name, {}).update(places)
        before = await asyncio.to_thread(self._kept)
        asked = Asked(
            config=config,
            folder=self._folder,
            processes=self._hosted.processes(),
            refused=self._refusals(config, before),
            elsewhere=dials_of(config, self._place),
        )
        judged = await in_own_loop(partial(judge_all, asked))
        await asyncio.to_thread(self._keep, config, before, judged)

    def _kept(self) -> list[Kept]:
        return self._place.open_state().read(boundary_verdicts.every)

    def _refusals(
        self, config: Config, before: Iterable[Kept]
    ) -> dict[str, dict[str, UnixTime]]:
        """Give what sandboxes refused lately, before the last start too."""
        since = system_clock() - REFUSALS_SECONDS
        known = _of_here(before, config, self._here)
        found: dict[str, dict[str, UnixTime]] = {}
        for name in config.connectors:
            last = judged_of(known[name]) if name in known else None
            earlier = {} if last is None else last.refused
            both = {**earlier, **self._refused.get(name, {})}
            found[name] = {it: UnixTime(at) for it, at in both.items() if at >= since}
        return found

    def _keep(
        self, config: Config, before: list[Kept], judged: Mapping[str, Judged]
    ) -> None:
        """Record what is new and what is gone, and keep the rest for all replicas."""
        store, now = self._place.open_state(), system_clock()
        closed = _closed(before, config, now)
        known = _of_here(before, config, self._here)
        for name, it in judged.items():
            last = known.get(name)
            before_it = None if last is None else judged_of(last)
            found = it if before_it is None else _not_forgotten(it, before_it)
            self._tell(name, before_it, found)
            same = last is not None and last.inward == found.inward
            kept = Kept(
                connector=name,
                place=self._here,
                subject=subject_of(config.connectors[name]),
                inward=found.inward,
                outward=found.outward,
                since=last.since if same and last is not None else now,
                checked_at=now,
                document=msgspec.json.encode(found),
            )
            store.run(partial(boundary_verdicts.put, kept=kept))
        store.run(
            partial(
                boundary_verdicts.forget,
                connectors=config.connectors,
                before=stale_before(config, now),
                # The host of a state that no other has was called otherwise once.
                place=None if self._place.is_shared else self._here,
            )
        )
        after = self._kept()
        if _closed(after, config, now) != closed:
            store.run(approvals.note_change)
        self.counts = _counted(after, config, now)

    def _tell(self, name: str, before: Judged | None, after: Judged) -> None:
        """Have on disk what is new, and what is over. Raises `LogUnavailableError`."""
        had = {} if before is None else {it.id: it for it in before.findings}
        has = {it.id: it for it in after.findings}
        for it in [has[key] for key in has.keys() - had.keys()][:MAX_RECORDED]:
            log.warning("connector `%s`: %s: %s", name, it.title, visible(it.evidence))
            self._record(name, "boundary.finding", it)
        for it in [had[key] for key in had.keys() - has.keys()][:MAX_RECORDED]:
            log.warning("connector `%s`: no longer so: %s", name, it.title)
            self._record(name, "boundary.cleared", it)

    def _record(self, name: str, type: str, it: Finding) -> None:
        told = {
            "rule": it.rule,
            "id": it.id,
            "severity": it.severity,
            "evidence": it.evidence[:MAX_RECORDED_CHARACTERS],
            "place": self._here,
        }
        state.record_admin(self._place, type, told, user=None, agent=None, connector=name)


def _share() -> float:
    """Give a random part of one."""
    return int.from_bytes(system_entropy(4)) / 2**32


def _of_here(kept: Iterable[Kept], config: Config, here: str) -> dict[str, Kept]:
    """Give what was seen from here of the servers that are still the same."""
    return {
        it.connector: it
        for it in kept
        if it.place == here
        and it.connector in config.connectors
        and it.subject == subject_of(config.connectors[it.connector])
    }


def _not_forgotten(now: Judged, before: Judged) -> Judged:
    """Take a breach as going on until the server was seen to be inside.

    A server that does not answer for a moment, or slowly, would else open itself.
    """
    if now.inward != "unknown" or before.inward != "outside":
        return now
    held = {it.id: it for it in (*before.findings, *now.findings)}
    return replace(now, inward="outside", findings=tuple(held.values()))


def _closed(kept: Iterable[Kept], config: Config, now: UnixTime) -> frozenset[str]:
    """Name the connectors that are closed for a breach, by the rule."""
    if config.boundary.on_breach != "close":
        return frozenset()
    each = standings(kept, config, now)
    return frozenset(name for name, it in each.items() if it.inward == "outside")


def _counted(kept: Iterable[Kept], config: Config, now: UnixTime) -> dict[str, int]:
    counts = dict.fromkeys(("inside", "outside", "unknown"), 0)
    for it in standings(kept, config, now).values():
        counts[it.inward] += 1
    return counts
