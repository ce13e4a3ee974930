"""One probe of all connectors of a configuration, from where this process runs."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.clock import UnixTime
from bascule.config.model import Config, Connector
from bascule.errors import BasculeError
from bascule.lock.lock_file import read_lock
from bascule.lock.model import Entry
from bascule.lock.surface import read_document
from bascule.scan.boundary import Judged, Outward, judge_remote, judge_stdio
from bascule.scan.bypass import DialFrom, listening_at, sockets_of, ways_around
from bascule.scan.definition_hosts import hosts_of
from bascule.scan.interfaces import OwnAddress, own_addresses
from bascule.scan.local_view import LocalView, look
from bascule.scan.report import Gap

log = logging.getLogger("bascule")

_DOES_NOT_RUN = "it does not run now, and no sandbox will enclose it"
AT_ONCE = 4
"""Connectors that are probed at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be probed, and what is known of it already."""

    config: Config
    folder: Path
    """Of the configuration, the lock and the surfaces."""
    processes: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Of stdio servers, by connector."""
    refused: Mapping[str, Mapping[str, UnixTime]] = field(default_factory=dict)
    """What sandboxes refused, by connector and HOST:PORT, and when for the last time."""
    elsewhere: Mapping[str, DialFrom] = field(default_factory=dict)
    """Vantage points, by name."""


async def judge_all(asked: Asked) -> dict[str, Judged]:
    """Probe each connector, a few at a time. Raises OSError where nothing can be looked at.

    What goes wrong with one connector is `unknown` there, whatever it is.
    """
    entries = _entries(asked.folder)
    own = own_addresses()
    view = _view(asked)
    room = asyncio.Semaphore(AT_ONCE)

    async def judge(name: str, connector: Connector) -> Judged:
        async with room:
            outward = _outward(name, connector, asked, entries.get(name))
            try:
                if connector.url is not None:
                    tried = await ways_around(connector.url, own, asked.elsewhere)
                    return judge_remote(name, tried, outward)
                return await _stdio(name, asked, view, own, outward)
            except Exception as exc:  # whatever a server answers
                log.error("boundary of `%s`: the probe failed", name, exc_info=exc)
                gap = Gap(target=name, what="its boundary", why="the probe failed on a bug")
                return Judged(inward="unknown", outward="unknown", not_assessed=(gap,))

    async with asyncio.TaskGroup() as group:
        tasks = {
            name: group.create_task(judge(name, connector))
            for name, connector in asked.config.connectors.items()
        }
    return {name: task.result() for name, task in tasks.items()}


async def _stdio(
    name: str,
    asked: Asked,
    view: LocalView | None,
    own: tuple[OwnAddress, ...],
    outward: Outward,
) -> Judged:
    processes = asked.processes.get(name, frozenset())
    if not processes:
        # In a sandbox it will have a network of its own; else nobody knows what it will do.
        return judge_stdio(name, (), "" if outward.enclosed else _DOES_NOT_RUN, outward)
    if view is None:
        return judge_stdio(name, (), "the system does not say what listens", outward)
    listening = await listening_at(sockets_of(processes, view), own)
    return judge_stdio(name, listening, "", outward)


def _view(asked: Asked) -> LocalView | None:
    """See what listens, where some stdio server runs."""
    if not any(asked.processes.values()):
        return None
    try:
        return look()
    except OSError as exc:
        log.warning("boundaries: what listens here cannot be read: %s", exc)
        return None


def _entries(folder: Path) -> Mapping[str, Entry]:
    try:
        return read_lock(folder).connectors
    except BasculeError:
        return {}  # then nothing runs that is locked, and nothing is enclosed


def _outward(name: str, connector: Connector, asked: Asked, entry: Entry | None) -> Outward:
    enclosed = (
        connector.command is not None and entry is not None and sys.platform == "linux"
    )
    return Outward(
        enclosed=enclosed,
        remote=connector.url is not None,
        may_reach=connector.boundary.may_reach,
        refused=asked.refused.get(name, {}),
        named=() if entry is None else _named(asked.folder, name, entry),
    )


def _named(folder: Path, name: str, entry: Entry) -> tuple[tuple[str, str], ...]:
    """Give what the locked definitions name; nothing where they cannot be read."""
    if entry.surface is None:
        return ()
    try:
        document = read_document(folder, name, entry.surface)
    except (BasculeError, OSError):
        return ()
    return tuple(
        (tool, host)
        for tool, each in document.tools.items()
        for definition in each
        for host in hosts_of(definition)
    )
