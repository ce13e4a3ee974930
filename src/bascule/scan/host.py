"""MCP servers on this machine: those that listen, and those that speak over pipes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bascule.scan import prober
from bascule.scan.endpoints import MOST_ADDRESSES, Endpoint, bound, endpoints
from bascule.scan.exchange import Limits
from bascule.scan.interfaces import OwnAddress
from bascule.scan.local_view import HERE
from bascule.scan.probed import Probed
from bascule.scan.report import Gap, Report, merged
from bascule.scan.running import Answers, Running, listening, speaking
from bascule.scan.stdio_servers import stdio_servers
from bascule.scan.surroundings import Surroundings
from bascule.scan.target import Target
from bascule.scan.wire import Wire

HASTY = Limits(connect_seconds=1.0, head_seconds=0.8)
"""For the first look at each socket: most of a machine's answer at once or never."""
PATIENT = Limits(connect_seconds=1.0, head_seconds=1.2)
"""For those that said nothing; of one that needs longer the report says that it is open."""
MOST_PATIENT = 100
"""Sockets that are asked once more."""

Done = Callable[[int, int], None]
"""Is told how many of how many sockets have been asked."""
Probes = Sequence[tuple[OwnAddress, Probed]]


@dataclass(frozen=True, slots=True)
class HostScan:
    """What was found, and who names it."""

    running: tuple[Running, ...]
    report: Report


async def scan_host(wire: Wire, around: Surroundings, *, done: Done) -> HostScan:
    """Ask all that listens here, and look at what speaks over pipes.

    Nothing that runs is touched but by connections to its port. `wire` is given the limits
    that fit. Raises nothing that a server could cause.
    """
    places, gaps = endpoints(around.view.listeners, around.own)
    asked = await _asked(wire, places, around, done)
    running = [
        listening(it, around) for place, probes in asked for it in _by_path(place, probes)
    ]
    pids = {it.server.pid for it in running}
    running += [
        speaking(it, around)
        for it in stdio_servers(around.view)
        if not any(member.pid in pids for member in it.family)
    ]
    gaps += [*around.view.not_assessed, *_unclear(asked)]
    return HostScan(tuple(running), _report(wire, running, gaps))


def _report(wire: Wire, running: Sequence[Running], gaps: Sequence[Gap]) -> Report:
    report = Report(
        servers=tuple(it.server for it in running),
        findings=tuple(finding for it in running for finding in it.findings),
        not_assessed=(*gaps, *(gap for it in running for gap in it.not_assessed)),
        requests=tuple(wire.sent),
        scope=wire.scope.described(),
    )
    return merged([report])


async def _asked(
    wire: Wire, places: Sequence[Endpoint], around: Surroundings, done: Done
) -> list[tuple[Endpoint, Probes]]:
    """Ask each socket in haste, and those that said nothing once more, unless too many."""
    found = dict(enumerate(places))
    wire.limits = HASTY
    first = await _ask_each(wire, list(found.values()), around, done)
    silent = [at for at, probes in enumerate(first) if _is_unclear(probes)]
    if len(silent) <= MOST_PATIENT:
        wire.limits = PATIENT
        again = await _ask_each(wire, [found[at] for at in silent], around, done)
        for at, probes in zip(silent, again, strict=True):
            first[at] = probes
    return list(zip(places, first, strict=True))


async def _ask_each(
    wire: Wire, places: Sequence[Endpoint], around: Surroundings, done: Done
) -> list[Probes]:
    finished = 0

    async def ask(endpoint: Endpoint) -> Probes:
        nonlocal finished
        probes = await _ask(wire, endpoint, around)
        finished += 1
        done(finished, len(places))
        return probes

    return list(await asyncio.gather(*map(ask, places)))


async def _ask(wire: Wire, endpoint: Endpoint, around: Surroundings) -> Probes:
    """Ask one socket at the narrowest and the widest of its addresses.

    At the others it is only asked for what answered as MCP at one of these.
    """
    port, hints = endpoint.listener.port, _hints(endpoint, around)
    first, *others = endpoint.addresses[:MOST_ADDRESSES]

    async def probe(address: OwnAddress, target: Target) -> tuple[OwnAddress, Probed]:
        return address, await prober.probe(wire, target)

    def at(address: OwnAddress) -> Target:
        return Target.of_port(address.connectable, port, hints=hints)

    ends = [first, *others[-1:]]
    probes = await asyncio.gather(*(probe(it, at(it)) for it in ends))
    confirmed = {
        (each.identity.place.secure, each.identity.path)
        for _address, probed in probes
        for each in probed.each()
        if each.identity is not None
    }
    more = [
        (address, replace(at(address), secure=secure, path=path))
        for address in others[:-1]
        for secure, path in confirmed
    ]
    return [*probes, *await asyncio.gather(*(probe(*it) for it in more))]


def _hints(endpoint: Endpoint, around: Surroundings) -> tuple[str, ...]:
    """Give the paths of URLs that lead to this port."""
    port = endpoint.listener.port
    named = (it.hint for it in around.named if it.place and it.place[1] == port)
    return tuple(dict.fromkeys(filter(None, named)))


def _by_path(endpoint: Endpoint, probes: Probes) -> list[Answers]:
    """Put together what the same path answered at several addresses."""
    paths: dict[str, list[tuple[OwnAddress, Probed]]] = {}
    for address, probed in probes:
        for each in probed.each():
            if each.identity is not None:
                paths.setdefault(each.identity.path, []).append((address, each))
    return [Answers(endpoint.listener, found) for found in paths.values()]


def _is_unclear(probes: Probes) -> bool:
    """Tell whether it is open if MCP is spoken: no answer, or one that says nothing."""
    if any(probed.identity for _address, probed in probes):
        return False
    return all(probed.server.state != "not_mcp" for _address, probed in probes)


def _unclear(asked: Iterable[tuple[Endpoint, Probes]]) -> Iterable[Gap]:
    """Say which sockets gave no answer, by the reason."""
    reasons: dict[str, set[str]] = {}
    for endpoint, probes in asked:
        if _is_unclear(probes):
            whys = (it.why for _address, probed in probes for it in probed.not_assessed)
            why = next(whys, "it gives no answer")
            reasons.setdefault(why, set()).add(bound(endpoint.listener))
    for why, places in reasons.items():
        what = f"whether MCP is spoken at {', '.join(sorted(places))}"
        yield Gap(target=HERE, what=what, why=why)
