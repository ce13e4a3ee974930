"""The workers of `up --workers N`: started, replaced when they die, told and drained."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from bascule.app.channel import (
    Approvals,
    Commit,
    Drain,
    Granting,
    LogState,
    Prepare,
    Settings,
    Start,
    open_channel,
)
from bascule.app.child import Child, start_process
from bascule.app.counts import Counts
from bascule.app.load import Loaded
from bascule.app.timers import Timer
from bascule.app.worker import DRAIN_SECONDS
from bascule.audit.log import AuditLog
from bascule.clock import monotonic, system_entropy
from bascule.decision.snapshot import Gates, Grants, with_gates, with_grants
from bascule.errors import BasculeError
from bascule.gateway.host_counts import KEY_BYTES, clear_row, make_memory
from bascule.gateway.listener import BACKLOG

log = logging.getLogger("bascule")

START_SECONDS = 30.0
PREPARE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.25
MAX_PAUSE_SECONDS = 15.0
"""Pauses before a worker is replaced: doubled each time, begun anew when one lasted."""
LASTING_SECONDS = 60.0
END_SECONDS = 5.0
"""What a worker may take beyond its own draining."""


class WorkerProcesses:
    """N workers that accept connections from the same sockets."""

    def __init__(
        self,
        count: int,
        data_dir: Path,
        loaded: Loaded,
        audit: AuditLog,
        *,
        held: Sequence[int],
    ) -> None:
        """`held`: descriptors that stay open as long as any worker lives."""
        self._count = count
        self._data_dir = data_dir
        self._loaded = loaded
        self._fresh: Loaded | None = None
        self._number = 0
        """Of the configuration that workers were asked to prepare last."""
        self._audit = audit
        self._held = held
        self._counts = make_memory(count)
        self._counts_key = system_entropy(KEY_BYTES)
        self._sockets: Sequence[socket.socket] = ()
        self._children: dict[int, Child] = {}
        """By place, 0 to N-1."""
        self._before = Counts()
        """What workers counted that are gone."""
        self._draining = asyncio.Event()
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while they serve."""
        return [Timer(0.5, self._tell_log)]

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Start all; returns when all serve. Raises `BasculeError` when one cannot."""
        self._sockets = sockets
        for sock in sockets:
            sock.listen(BACKLOG)
        children = [await self._spawn(place) for place in range(self._count)]
        await asyncio.gather(*map(self._require_serving, children))
        self._keeping = [
            asyncio.create_task(self._keep(place)) for place in range(self._count)
        ]

    async def prepare(self, loaded: Loaded) -> None:
        """Have all workers make what a new configuration needs.

        Raises `BasculeError` with what one of them says against it.
        """
        self._number += 1
        children = list(self._children.values())
        for child in children:
            child.answered.clear()
            child.channel.send(Prepare(self._number, _settings(loaded)))
        for child in children:
            problem = await self._answer(child)
            if problem:
                raise BasculeError(problem)
        self._fresh = loaded

    def commit(self) -> None:
        """Put what was prepared into force; who has not prepared it is replaced."""
        assert self._fresh is not None  # noqa: S101 - only after `prepare`
        self._loaded, self._fresh = self._fresh, None
        for child in self._children.values():
            if child.prepared == self._number:
                child.channel.send(Commit())
            else:
                child.process.kill()

    def approve(self, gates: Gates) -> None:
        """Put into force what is approved of the configuration in force."""
        snapshot = with_gates(self._loaded.snapshot, gates)
        self._loaded = replace(self._loaded, snapshot=snapshot)
        for child in self._children.values():
            child.channel.send(Approvals(dict(gates)))

    def grant(self, grants: Grants) -> None:
        """Put into force who was granted what beside the configuration."""
        snapshot = with_grants(self._loaded.snapshot, grants)
        self._loaded = replace(self._loaded, snapshot=snapshot)
        for child in self._children.values():
            child.channel.send(Granting(grants))

    def counts(self) -> Counts:
        """Give the sum over all workers, those that are gone included."""
        return reduce(
            Counts.plus, (it.counts for it in self._children.values()), self._before
        )

    async def drain(self) -> None:
        """Let all answer what they began; who does not end is killed."""
        self._draining.set()
        for sock in self._sockets:
            sock.close()
        for child in self._children.values():
            child.channel.send(Drain())
        try:
            async with asyncio.timeout(DRAIN_SECONDS + END_SECONDS):
                await asyncio.gather(*(it.gone.wait() for it in self._children.values()))
        except TimeoutError:
            log.error("workers that did not end were killed")
            for child in self._children.values():
                child.process.kill()
        for task in self._keeping:
            task.cancel()

    async def _answer(self, child: Child) -> str:
        """Wait for what a worker says of a configuration; one that is gone says nothing."""
        await _first(child.answered, child.gone, seconds=PREPARE_SECONDS)
        if child.prepared == self._number:
            return child.problem
        return "" if child.gone.is_set() else "a worker does not answer"

    async def _spawn(self, place: int) -> Child:
        boot = system_entropy(8).hex()
        self._audit.writers.add(boot)
        descriptors = [it.fileno() for it in self._sockets]
        clear_row(self._counts, place)
        ours, process = start_process([*descriptors, *self._held, self._counts])
        child = Child(process, await open_channel(ours), boot)
        settings = _settings(self._loaded)
        child.channel.send(
            Start(
                settings=settings,
                data_dir=str(self._data_dir),
                boot=boot,
                listeners=descriptors,
                counts=self._counts,
                counts_key=self._counts_key,
                row=place,
                rows=self._count,
            )
        )
        self._tell_log_to(child)
        self._children[place] = child
        return child

    async def _require_serving(self, child: Child) -> None:
        await _first(child.serving, child.gone, seconds=START_SECONDS)
        if not child.serving.is_set():
            child.process.kill()
            raise BasculeError("a worker could not start; what it said is above")

    async def _keep(self, place: int) -> None:
        """Replace the worker of a place whenever it is gone."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = monotonic()
            child = self._children[place]
            await child.gone.wait()
            self._forget(child)
            if self._draining.is_set():
                return
            code = child.process.returncode
            log.error("worker %d ended with %d and is replaced", child.process.pid, code)
            if monotonic() - started > LASTING_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            while self._children[place] is child:
                await asyncio.sleep(pause)
                if self._draining.is_set():
                    return
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                try:
                    await self._spawn(place)
                except OSError as exc:  # no memory, no processes, no descriptors
                    log.error("a worker cannot be started: %s", exc)

    def _forget(self, child: Child) -> None:
        """Let the calls of a worker that is gone be closed, and keep what it counted."""
        self._audit.writers.discard(child.boot)
        self._before = self._before.plus(child.counts.without_what_is_now())
        child.counts = Counts()

    async def _tell_log(self) -> None:
        for child in self._children.values():
            self._tell_log_to(child)

    def _tell_log_to(self, child: Child) -> None:
        child.channel.send(LogState(self._audit.sequencing.lag, self._audit.late()))


def _settings(loaded: Loaded) -> Settings:
    snapshot = loaded.snapshot
    return Settings(
        loaded.config,
        dict(loaded.policies),
        dict(snapshot.gates),
        snapshot.grants,
        loaded.shadow,
    )


async def _first(*events: asyncio.Event, seconds: float) -> None:
    """Wait for the first of some events, or until the time is over."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
