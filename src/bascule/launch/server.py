"""One stdio server: its processes, started when needed and ended when they are not.

A process is opened once, for one revision: servers settle on one with their first request.
So there is one for each revision that clients speak, and with `per_user` for each user.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.errors import BasculeError
from bascule.launch.backoff import Backoff
from bascule.launch.calls import CallError, CallTimeoutError
from bascule.launch.command import (
    Command,
    LaunchError,
    environment_of,
    operator_environment,
    private_directories,
    program_of,
)
from bascule.launch.opening import EraRefusedError, discover, initialize
from bascule.launch.peer import Audience, Peer
from bascule.launch.start import Start, plain_start
from bascule.launch.wanted import Prepare, Record, Wanted, as_declared, no_record
from bascule.protocol import modern

log = logging.getLogger("bascule.stdio")

OPENING_SECONDS = 180.0
"""Longest time from the start of a process to its first answer: `uvx` and `npx` fetch
packages meanwhile. Callers give up sooner and find it ready when they come again."""
PATIENCE_SECONDS = 10.0
"""Longest that a caller waits for a server that may not speak the era at all, or that has
failed and is not started again for a while."""
ERA_SECONDS = 600.0
"""How long a refusal of an era is remembered."""


@dataclass(slots=True)
class _Place:
    """Where one process is, was or will be."""

    backoff: Backoff = field(default_factory=Backoff)
    opening: asyncio.Task[Peer | Exception] | None = None
    peer: Peer | None = None
    refused: EraRefusedError | None = None
    refused_at: float = 0.0


class StdioServer:
    """The processes of one connector."""

    def __init__(
        self,
        command: Command,
        folder: Path,
        limits: Limits,
        audience: Audience,
        *,
        record: Record = no_record,
        prepare: Prepare = as_declared,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`record` is awaited before a process is started; `prepare` says how."""
        self.command = command
        self._record = record
        self._prepare = prepare
        self._patience = patience
        self._folder = folder
        self.limits = limits
        self._audience = audience
        self._places: dict[tuple[str, str], _Place] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._retired = False

    @property
    def peers(self) -> list[Peer]:
        """Processes that are in use."""
        return [it.peer for it in self._places.values() if it.peer is not None]

    def place(self, wanted: Wanted) -> object:
        """Give what tells the place of a process from all others; hashable."""
        return self, wanted.key

    def running(self, wanted: Wanted) -> Peer | None:
        """Give the process if there is one."""
        place = self._places.get(wanted.key)
        return None if place is None else place.peer

    async def peer(self, wanted: Wanted) -> Peer:
        """Give a process that speaks the revision, started when there is none.

        Raises `EraRefusedError`, `LaunchError` or `CallError`.
        """
        if self._retired:
            raise LaunchError("the configuration has changed")
        place = self._places.setdefault(wanted.key, _Place())
        if place.peer is not None and not place.peer.over:
            place.peer.last_used = monotonic()
            return place.peer
        self._refuse_early(place)
        if place.opening is None:
            self._make_room(place)
            place.opening = asyncio.get_running_loop().create_task(
                self._open(place, wanted)
            )
        # The modern era is probed: who asks may go on with the older one meanwhile.
        probing = wanted.revision == modern.VERSION
        opened = await _result(
            place.opening, self._patience if probing else OPENING_SECONDS
        )
        if isinstance(opened, Exception):
            raise opened
        return opened

    def _refuse_early(self, place: _Place) -> None:
        now = monotonic()
        if place.refused is not None:
            if now - place.refused_at < ERA_SECONDS:
                raise place.refused
            place.refused = None
        left = place.backoff.left(now)
        if place.opening is None and left > self._patience:
            raise LaunchError(f"it keeps failing; the next start is in {left:.0f} s")

    def _make_room(self, place: _Place) -> None:
        """End the process that has been idle longest when there are too many."""
        used = [it for it in self._places.values() if it is not place and _is_used(it)]
        if len(used) < self.limits.stdio_processes:
            return
        idle = [it for it in used if it.peer is not None and not it.peer.busy]
        if not idle:
            raise LaunchError("as many processes as `limits.stdio_processes` are busy")
        self._end(min(idle, key=lambda it: it.peer.last_used if it.peer else 0.0))

    async def _open(self, place: _Place, wanted: Wanted) -> Peer | Exception:
        await asyncio.sleep(max(place.backoff.left(monotonic()), 0))
        peer = Peer(
            self.command.connector,
            self,
            place=self.place(wanted),
            secrets=self.command.secrets,
        )
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                await self._start(peer, wanted)
                peer.opening = await _opening(peer, wanted)
        except (OSError, TimeoutError, BasculeError) as exc:
            problem = self._not_opened(place, peer, exc)
            self._stop(peer)
            place.opening = None
            return problem
        except asyncio.CancelledError:
            self._stop(peer)
            raise
        place.peer, place.opening = peer, None
        log.info("[%s] process %d speaks %s", peer.name, peer.process.pid, wanted.revision)
        return peer

    async def _start(self, peer: Peer, wanted: Wanted) -> None:
        start = await self._prepare(wanted) or self._as_declared(wanted)
        try:
            await self._record(self.command.connector, start, wanted)
        except BaseException:
            start.close()
            raise
        await peer.process.start(start, limit=self.limits.response_bytes)

    def _as_declared(self, wanted: Wanted) -> Start:
        """Run the command as the configuration has it, as this OS user."""
        inherited = operator_environment()
        program = program_of(self.command, inherited)
        directories = private_directories(self._folder, wanted.user)
        environment = environment_of(self.command, directories, inherited)
        return plain_start(program, self.command.argv, environment)

    def _not_opened(self, place: _Place, peer: Peer, problem: Exception) -> Exception:
        if isinstance(problem, EraRefusedError):
            place.refused, place.refused_at = problem, monotonic()
            return problem
        place.backoff.failed(started=peer.process.started, now=monotonic())
        if isinstance(problem, TimeoutError):
            problem = CallTimeoutError("the server does not answer its first request")
        elif isinstance(problem, OSError):
            problem = LaunchError(f"cannot run it: {problem.strerror}")
        log.error("[%s] cannot be used: %s", peer.name, problem)
        return problem

    # Audience of the processes: what concerns this server; the rest is passed on.

    def told(self, peer: Peer, method: str, params: dict[str, Any]) -> None:
        """Pass a notification on."""
        self._audience.told(peer, method, params)

    def asked(self, peer: Peer, ask: int, method: str, params: dict[str, Any]) -> bool:
        """Pass a request of the server on."""
        return self._audience.asked(peer, ask, method, params)

    def lost(self, peer: Peer, reason: str) -> None:
        """Note that a process has ended; the next call starts another."""
        for place in self._places.values():
            if place.peer is peer:
                place.peer = None
                place.backoff.failed(started=peer.process.started, now=monotonic())
                log.warning("[%s] %s", peer.name, reason)
                self._stop(peer)
        self._audience.lost(peer, reason)

    # Ends

    def expire(self, now: float) -> None:
        """Keep time for calls and idle processes; called about once a second."""
        for key, place in list(self._places.items()):
            peer = place.peer
            if peer is not None:
                peer.expire(now, longest=self.limits.upstream_total_seconds)
                idle = now - peer.last_used > self.limits.stdio_idle_seconds
                if not peer.busy and (idle or self._retired):
                    self._end(place)
            elif key[0] and place.opening is None and place.backoff.left(now) <= 0:
                del self._places[key]

    def _end(self, place: _Place) -> None:
        peer, place.peer = place.peer, None
        if peer is not None:
            self._stop(peer)

    def _end_opened(self, place: _Place, _: object) -> None:
        self._end(place)

    def _stop(self, peer: Peer) -> None:
        peer.process.end("is being stopped")
        task = asyncio.get_running_loop().create_task(peer.process.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def end_users(self, ends: Callable[[str], bool]) -> None:
        """End the processes of these users at once, what they are at included."""
        for (user, _), place in self._places.items():
            if user and ends(user):
                if place.opening is not None:
                    place.opening.add_done_callback(partial(self._end_opened, place))
                self._end(place)

    def end_all(self) -> None:
        """End all processes at once, what they are at included; others may be started."""
        for place in self._places.values():
            if place.opening is not None:
                place.opening.add_done_callback(partial(self._end_opened, place))
            self._end(place)

    def retire(self) -> None:
        """Take no new calls; processes end when they have answered."""
        self._retired = True
        self.expire(monotonic())

    @property
    def over(self) -> bool:
        """Nothing of a retired server runs any more."""
        return (
            self._retired
            and not self._ending
            and not any(map(_is_used, self._places.values()))
        )

    async def stop(self) -> None:
        """End everything."""
        self._retired = True
        openings = [it.opening for it in self._places.values() if it.opening is not None]
        for opening in openings:
            opening.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
        for place in self._places.values():
            self._end(place)
        await asyncio.gather(*self._ending)


def _is_used(place: _Place) -> bool:
    return place.peer is not None or place.opening is not None


async def _opening(peer: Peer, wanted: Wanted) -> Any:
    if wanted.revision == modern.VERSION:
        return await discover(peer)
    return await initialize(peer, wanted.revision, wanted.capabilities, wanted.client_info)


async def _result(task: asyncio.Task[Peer | Exception], seconds: float) -> Peer | Exception:
    """Wait for a task, which goes on when nobody waits for it any more."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(*_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)
    if not task.done():
        return CallTimeoutError("the server has not answered its first request yet")
    return CallError("it is being stopped") if task.cancelled() else task.result()
