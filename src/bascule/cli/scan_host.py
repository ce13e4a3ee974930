"""`bascule scan host`: what listens and runs on this host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.scan_options import ReportOptions, report_options
from bascule.cli.scan_scope import ScopeOptions, run_scan, scope_options
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.scan.configs import Scanned
    from bascule.scan.host import HostScan
    from bascule.scan.named import Named
    from bascule.scan.report import Report


@click.command()
@scope_options
@report_options
@click.pass_context
def host(ctx: click.Context, *, scope: ScopeOptions, report: ReportOptions) -> None:
    """Ask every port that listens on this machine, and find servers that speak over pipes.

    What neither a client's file nor Bascule's configuration names is a shadow. Run it as
    root to see the processes and the files of all users.
    """
    from bascule.cli.scan_output import finish
    from bascule.scan.this_host import named_by_clients

    context = ctx.ensure_object(CommandContext)
    connectors, unread = connectors_of(context)
    named = [*named_by_clients(files_of_clients(context).servers), *connectors]
    found = look_at_host(named, scope, bascule_ports=ports_of_bascule(context))
    finish(ctx, with_more(found.report, unread), report)


def files_of_clients(context: CommandContext) -> Scanned:
    """Scan the clients' files of this user, or of all as root."""
    from bascule.scan.clients.homes import own_homes
    from bascule.scan.configs import scan_configs

    return scan_configs(own_homes(os.environ), public_urls=_public_urls(context))


def _public_urls(context: CommandContext) -> tuple[str, ...]:
    try:
        return (context.config().server.public_url,)
    except BasculeError:
        if context.named_config is not None:
            raise
        return ()  # `connectors_of` says that it cannot be read


def connectors_of(context: CommandContext) -> tuple[list[Named], Report]:
    """Give the connectors of the configuration; and that it cannot be read, where so.

    Raises `BasculeError` for one that was named and cannot be read.
    """
    from bascule.scan.local_view import HERE
    from bascule.scan.named import Named
    from bascule.scan.report import Gap, Report

    try:
        config = context.config()
    except BasculeError as exc:
        if context.named_config is not None:
            raise
        gap = Gap(target=HERE, what="which servers Bascule guards", why=str(exc))
        return [], Report(not_assessed=(gap,))
    path = str(context.config_path)
    named = [
        Named(name=name, command=it.command or (), url=it.url or "", path=path)
        for name, it in config.connectors.items()
    ]
    return named, Report()


def ports_of_bascule(context: CommandContext) -> frozenset[int]:
    """Give the port at which clients are to reach Bascule."""
    from bascule.config.addresses import host_and_port
    from bascule.config.model import Server

    try:
        server = context.config().server
    except BasculeError:
        server = Server()  # `connectors_of` says that it cannot be read
    place = host_and_port(server.listen)
    return frozenset() if place is None else frozenset({place[1]})


def look_at_host(
    named: list[Named], scope: ScopeOptions, *, bascule_ports: frozenset[int] = frozenset()
) -> HostScan:
    """Scan this machine, with a line that says how far it is. Raises `BasculeError`."""
    from bascule.cli.progress import Line
    from bascule.scan.sockets import PROBED
    from bascule.scan.this_host import most_open, scan_this_host, whose_files

    with Line() as line:

        def done(asked: int, of: int) -> None:
            line.say(f"{asked} of {of} listening sockets asked")

        try:
            wire = scope.wire((), PROBED, max_open=most_open())
            work = scan_this_host(
                wire, named, user_id=whose_files(), bascule_ports=bascule_ports, done=done
            )
            return run_scan(work)
        except OSError as exc:
            raise BasculeError(f"this system does not say what runs here: {exc}") from exc


def with_more(report: Report, more: Report) -> Report:
    """Put what else is to be said into a report."""
    from bascule.scan.report import merged

    return merged([report, more])
