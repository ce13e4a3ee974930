"""Asking the listening sockets of this machine whether they speak MCP.

Most of a machine's sockets speak something else, or wait in silence to be spoken to in
their own way. So each is asked one thing first, all at once; those that answer are then
probed, few at a time: none passes for silent because this program or theirs is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from msgspec import structs

from bascule.scan import prober
from bascule.scan.endpoints import MOST_ADDRESSES, Endpoint
from bascule.scan.eras import discover
from bascule.scan.exchange import Limits, WireError
from bascule.scan.interfaces import OwnAddress
from bascule.scan.named import Named
from bascule.scan.paths import PATHS
from bascule.scan.probed import Probed
from bascule.scan.scope import OutOfScopeError
from bascule.scan.summary import unknown
from bascule.scan.target import Target
from bascule.scan.wire import Wire

FIRST_LOOK = Limits(
    connect_seconds=0.6,
    first_seconds=0.6,
    head_seconds=0.6,
    body_seconds=0.6,
    body_bytes=1 << 14,
)
SECOND_LOOK = replace(FIRST_LOOK, connect_seconds=1.2, first_seconds=1.2, head_seconds=1.2)
"""For those that said nothing at first."""
PROBED = Limits(body_bytes=1 << 20)
"""For what answered; so many at once must not fill the memory, whatever they send."""
TARGET_SECONDS = 20.0
"""For everything at one address of a socket, judges included."""
MOST_AT_ONCE = 24
"""Sockets that are probed at the same time."""

T = TypeVar("T")
Done = Callable[[int, int], None]
"""Is told how many of how many sockets have been asked."""
_At = tuple[OwnAddress, Probed]
Probes = Sequence[_At]
"""What a socket gave, by the address that it was asked at."""


async def ask_all(
    wire: Wire,
    places: Sequence[Endpoint],
    named: Sequence[Named],
    keep: Callable[[Endpoint, Probes], T],
    done: Done,
) -> list[T]:
    """Ask each socket, and give what is to be kept of its answers, which may be large.

    Raises nothing that a server could cause.
    """
    asking = _Asking(wire, named, len(places), done)

    async def ask(place: Endpoint) -> T:
        return keep(place, await asking.ask(place))

    return await asyncio.gather(*map(ask, places))


def is_unclear(probes: Probes) -> bool:
    """Tell whether it is open if MCP is spoken: no answer, or one that says nothing."""
    if any(probed.identity for _address, probed in probes):
        return False
    return all(probed.server.state != "not_mcp" for _address, probed in probes)


@dataclass(slots=True)
class _Asking:
    wire: Wire
    named: Sequence[Named]
    number: int
    done: Done
    finished: int = 0
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def ask(self, endpoint: Endpoint) -> Probes:
        """Ask one socket at the narrowest and the widest of its addresses.

        At the others it is only asked for what answered as MCP at one of these.
        """
        first, *others = endpoint.addresses[:MOST_ADDRESSES]
        hints = self._hints(endpoint)

        def at(address: OwnAddress) -> Target:
            return Target.of_port(address.connectable, endpoint.listener.port, hints=hints)

        ends = [first, *others[-1:]]
        probes = await asyncio.gather(*(self._look(it, at(it)) for it in ends))
        found = {
            (each.identity.place.secure, each.identity.path)
            for _address, probed in probes
            for each in probed.each()
            if each.identity is not None
        }
        more = [
            self._probe(address, replace(at(address), secure=secure, path=path))
            for address in others[:-1]
            for secure, path in found
        ]
        probes += await asyncio.gather(*more)
        self.finished += 1
        self.done(self.finished, self.number)
        return probes

    async def _look(self, address: OwnAddress, target: Target) -> _At:
        """Probe a socket, unless it does not answer, or in another language."""
        try:
            problem = await self._problem(target)
        except OutOfScopeError as exc:
            return address, unknown(target, str(exc))
        if problem is not None:
            return address, _of_failure(target, problem)
        return await self._probe(address, target)

    async def _problem(self, target: Target) -> WireError | None:
        """Say why nobody needs to probe a socket: it speaks neither HTTP nor TLS."""
        problem = await self._first_word(target, FIRST_LOOK)
        if problem is not None and problem.failure in {"silent", "unreachable"}:
            problem = await self._first_word(target, SECOND_LOOK)
        if problem is None or not _may_be_tls(problem):
            return problem
        secured = await self._first_word(target, SECOND_LOOK, secure=True)
        speaks_tls = secured is None or secured.failure != "tls"
        return None if speaks_tls else problem

    async def _first_word(
        self, target: Target, limits: Limits, *, secure: bool = False
    ) -> WireError | None:
        """Ask what any MCP server answers somehow; gives why no answer came."""
        question = discover(PATHS[0])
        try:
            place = await self.wire.place(target, secure=secure)
            async with self.wire.send(
                place, "POST", question.path, question.headers, question.body, limits=limits
            ) as reply:
                await reply.body()
        except WireError as exc:
            return exc
        return None

    async def _probe(self, address: OwnAddress, target: Target) -> _At:
        async with self.turn:
            probed = await prober.probe(self.wire, target, seconds=TARGET_SECONDS)
            return address, probed

    def _hints(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Give the paths of URLs that lead to this port."""
        port = endpoint.listener.port
        paths = (it.hint for it in self.named if it.place and it.place[1] == port)
        return tuple(dict.fromkeys(filter(None, paths)))


def _may_be_tls(problem: WireError) -> bool:
    if problem.failure == "not_http":
        return problem.seen.startswith(b"\x15\x03")  # an alert
    return problem.failure == "closed"


def _of_failure(target: Target, problem: WireError) -> Probed:
    described = unknown(target, str(problem))
    if problem.failure != "not_http":
        return described
    server = structs.replace(described.server, state="not_mcp")
    return replace(described, server=server, not_assessed=())
