"""MCP servers on this machine: those that listen, and those that speak over pipes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bascule.scan.endpoints import Endpoint, bound, endpoints
from bascule.scan.finding import Finding
from bascule.scan.interfaces import OwnAddress
from bascule.scan.local_view import HERE
from bascule.scan.probed import Probed
from bascule.scan.report import Gap, Report, merged
from bascule.scan.running import Answers, Running, listening, speaking
from bascule.scan.sockets import Done, Probes, ask_all, is_unclear
from bascule.scan.stdio_servers import stdio_servers
from bascule.scan.surroundings import Surroundings
from bascule.scan.text.sets import Definitions, set_findings
from bascule.scan.wire import Wire


@dataclass(frozen=True, slots=True)
class HostScan:
    """What was found, and who names it."""

    running: tuple[Running, ...]
    report: Report


@dataclass(frozen=True, slots=True)
class _Socket:
    """What is kept of a socket that was asked."""

    place: str
    running: tuple[Running, ...]
    why_unclear: str
    """Why it is not known whether MCP is spoken there; empty when it is."""


async def scan_host(wire: Wire, around: Surroundings, *, done: Done) -> HostScan:
    """Ask all that listens here, and look at what speaks over pipes.

    Nothing that runs is touched but by connections to its port. Raises nothing that a
    server could cause.
    """
    places, gaps = endpoints(around.view.listeners, around.own)

    def keep(place: Endpoint, probes: Probes) -> _Socket:
        answers = _by_path(place, probes)
        running = tuple(listening(it, around) for it in answers)
        where = ", ".join(map(bound, (place.listener, *place.also)))
        return _Socket(where, running, _why_unclear(probes))

    sockets = await ask_all(wire, places, around.named, keep, done)
    running = [it for socket in sockets for it in socket.running]
    pids = {it.server.pid for it in running}
    running += [
        speaking(it, around)
        for it in stdio_servers(around.view, around.names_command)
        if not any(member.pid in pids for member in it.family)
    ]
    gaps += [*around.view.not_assessed, *_unclear(sockets)]
    return HostScan(tuple(running), _report(wire, running, gaps))


def _report(wire: Wire, running: Sequence[Running], gaps: Sequence[Gap]) -> Report:
    findings = [finding for it in running for finding in it.findings]
    report = Report(
        servers=tuple(it.server for it in running),
        findings=(*findings, *_of_sets(running)),
        not_assessed=(*gaps, *(gap for it in running for gap in it.not_assessed)),
        requests=tuple(wire.sent),
        scope=wire.scope.described(),
    )
    return merged([report])


def _of_sets(running: Iterable[Running]) -> Iterable[Finding]:
    """Judge together what one file shows to one client, as far as it lists its tools."""
    sets: dict[str, dict[str, Definitions]] = {}
    for server in running:
        for named in server.named:
            if named.client and server.tools:
                sets.setdefault(named.path, {})[named.name] = server.tools
    for path, servers in sets.items():
        yield from set_findings(servers, path)


def _by_path(endpoint: Endpoint, probes: Probes) -> list[Answers]:
    """Put together what the same path answered at several addresses."""
    paths: dict[str, list[tuple[OwnAddress, Probed]]] = {}
    for address, probed in probes:
        for each in probed.each():
            if each.identity is not None:
                paths.setdefault(each.identity.path, []).append((address, each))
    return [Answers(endpoint.listener, it, endpoint.also) for it in paths.values()]


def _why_unclear(probes: Probes) -> str:
    if not is_unclear(probes):
        return ""
    whys = (it.why for _address, probed in probes for it in probed.not_assessed)
    return next(whys, "it gives no answer")


def _unclear(sockets: Iterable[_Socket]) -> Iterable[Gap]:
    """Say which sockets gave no answer, by the reason."""
    reasons: dict[str, set[str]] = {}
    for socket in sockets:
        if socket.why_unclear:
            reasons.setdefault(socket.why_unclear, set()).add(socket.place)
    for why, places in reasons.items():
        what = f"whether MCP is spoken at {', '.join(sorted(places))}"
        yield Gap(target=HERE, what=what, why=why)
