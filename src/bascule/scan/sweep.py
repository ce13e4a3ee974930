"""Probing many targets, and putting what was met into one report."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count as count_from

from bascule.scan.crowd import each
from bascule.scan.exchange import Limits
from bascule.scan.probed import Probed
from bascule.scan.prober import TARGET_SECONDS, probe
from bascule.scan.report import Gap, Report, merged
from bascule.scan.scope import Network, OutOfScopeError, Scope
from bascule.scan.summary import IS_MCP
from bascule.scan.target import Target
from bascule.scan.wire import Wire

PORTS = (80, 443, 3000, 5000, 6277, 8000, 8080, 8888, 9000, 9099)
"""Where MCP servers are most often seen on networks; MCP fixes none."""
MAX_TARGETS = 1 << 16
"""Addresses times ports of one scan."""
PATIENT = Limits()
"""For targets that were named one by one."""
BRISK = Limits(first_seconds=2.0)
"""For networks."""

_MOST_AT_ONCE = 200
_REQUESTS = 50
"""About as many as one target gets; each may need a connection, and wait for its turn."""

Progress = Callable[[int], None]
"""Is told how many targets are done."""


async def probe_urls(wire: Wire, targets: Sequence[Target], progress: Progress) -> Report:
    """Probe what was named one by one: each has a row, and its further endpoints too."""
    probed: dict[Target, Report] = {}

    def keep(target: Target, found: Probed) -> None:
        probed[target] = merged(_as_report(it, row=True) for it in found.each())

    await _probe_all(wire, targets, keep, progress)
    return _report(wire, [probed[target] for target in targets])


async def probe_networks(
    wire: Wire, networks: Sequence[Network], ports: Sequence[int], progress: Progress
) -> Report:
    """Probe each address of networks at each of the ports; what is MCP has a row.

    Ports go first, so that no machine is asked everything at once. Of what is closed or
    something else nothing is kept.
    """
    inside, gaps = _in_scope(wire.scope, networks, ports)
    silent: Counter[str] = Counter()
    met: dict[Target, Report] = {}

    def keep(target: Target, found: Probed) -> None:
        plain = found.server.state in {"unreachable", "not_mcp"} and not found.findings
        if found.failure == "unreachable":
            silent[_network_of(target, networks)] += 1
        elif not plain or found.others:
            each_met = (_as_report(it, row=_is_mcp(it)) for it in found.each())
            met[target] = merged(each_met)

    await _probe_all(wire, inside, keep, progress)
    gaps += [
        Gap(target=network, what=IS_MCP, why=f"nothing came back from {number} ports")
        for network, number in silent.items()
    ]
    reports = [met[target] for target in inside if target in met]
    return _report(wire, [*reports, Report(not_assessed=tuple(gaps))])


def count(networks: Iterable[Network], ports: Sequence[int]) -> int:
    """Give how many targets that makes."""
    return sum(it.num_addresses for it in networks) * len(ports)


async def _probe_all(
    wire: Wire,
    targets: Iterable[Target],
    keep: Callable[[Target, Probed], None],
    progress: Progress,
) -> None:
    at_once = max(4, min(_MOST_AT_ONCE, round(3 * wire.rate)))
    seconds = TARGET_SECONDS + _REQUESTS * at_once / wire.rate
    done = count_from(1)

    async def work(target: Target) -> None:
        keep(target, await probe(wire, target, seconds=seconds))
        progress(next(done))

    try:
        await each(dict.fromkeys(targets), work, at_once=at_once)
    finally:
        wire.close()


def _in_scope(
    scope: Scope, networks: Sequence[Network], ports: Sequence[int]
) -> tuple[list[Target], list[Gap]]:
    """Give the targets that may be asked, and for each network why others may not."""
    inside: list[Target] = []
    outside: dict[str, list[str]] = {}
    for port in ports:
        for network in networks:
            for address in _hosts(network):
                try:
                    scope.check(address, address, port)
                except OutOfScopeError as exc:
                    outside.setdefault(str(network), []).append(str(exc))
                    continue
                inside.append(Target.of_port(address, port))
    gaps = [
        Gap(target=network, what=f"{len(whys)} of its ports", why=whys[0])
        for network, whys in outside.items()
    ]
    return inside, gaps


def _hosts(network: Network) -> Iterator[str]:
    return (str(it) for it in network.hosts())


def _network_of(target: Target, networks: Sequence[Network]) -> str:
    address = ipaddress.ip_address(target.addresses[0])
    return next((str(it) for it in networks if address in it), target.shown)


def _is_mcp(probed: Probed) -> bool:
    return probed.identity is not None


def _as_report(probed: Probed, *, row: bool) -> Report:
    return Report(
        servers=(probed.server,) if row else (),
        findings=probed.findings,
        not_assessed=probed.not_assessed,
    )


def _report(wire: Wire, reports: Sequence[Report]) -> Report:
    own = Report(requests=tuple(wire.sent), scope=wire.scope.described())
    return merged((*reports, own))
