"""`bascule scan net`: networks of your own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bascule.cli.scan_options import ReportOptions, report_options
from bascule.cli.scan_scope import ScopeOptions, finish_scan, run_scan, scope_options

if TYPE_CHECKING:
    from bascule.scan.scope import Network


@click.command()
@click.argument("networks", nargs=-1, required=True, metavar="CIDR...")
@click.option(
    "--ports",
    metavar="LIST",
    help="Ports and ranges: 80,8000-8010. Default: ten where MCP is often seen.",
)
@scope_options
@report_options
@click.pass_context
def net(
    ctx: click.Context,
    networks: tuple[str, ...],
    *,
    ports: str | None,
    scope: ScopeOptions,
    report: ReportOptions,
) -> None:
    """Look for MCP servers in networks of your own.

    Needs --i-own-this for anything but this machine, and on the public internet a --scope
    FILE that lists it. No tool is called, no credential sent, no redirect followed.
    """
    from bascule.cli.progress import Line
    from bascule.scan.sweep import BRISK, MAX_TARGETS, PORTS, count, probe_networks

    nets = [_network(it) for it in networks]
    asked = PORTS if ports is None else tuple(dict.fromkeys(_ports(ports)))
    total = count(nets, asked)
    if total > MAX_TARGETS:
        raise click.UsageError(
            f"{total} addresses and ports are too many for one scan: name smaller networks "
            f"or fewer --ports (at most {MAX_TARGETS} of both together)"
        )
    wire = scope.wire(networks, BRISK)
    with Line() as line:

        def say(done: int) -> None:
            left = (total - done) / scope.rate
            line.say(f"{done} of {total} ports, at most {left:.0f} s to go")

        found = run_scan(probe_networks(wire, nets, asked, say))
    finish_scan(ctx, found, report, wire)


def _network(text: str) -> Network:
    if "://" in text:
        raise click.UsageError("a URL is no network: `bascule scan url` probes it")
    try:
        network = ipaddress.ip_network(text, strict=False)
        address = ipaddress.ip_interface(text).ip
    except ValueError as exc:
        raise click.UsageError(
            f"`{text}` is no network such as 10.20.0.0/24, and no address; hosts are "
            "probed by their URL: `bascule scan url`"
        ) from exc
    if address != network.network_address:
        raise click.UsageError(
            f"`{text}` is an address within a network: name the network, {network}, or the "
            f"address alone, {address}"
        )
    return network


def _ports(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            start = int(first)
            end = int(last) if dash else start
        except ValueError as exc:
            raise click.UsageError(f"`{part}` is no port and no range of ports") from exc
        if not 0 < start <= end < 65536:
            raise click.UsageError(f"`{part}` is no port and no range of ports")
        yield from range(start, end + 1)
