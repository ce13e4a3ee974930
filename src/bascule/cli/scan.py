"""`bascule scan`: find MCP servers, and what is wrong with how they stand."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
from click.core import ParameterSource

from bascule.cli.context import CommandContext
from bascule.cli.lazy import LazyGroup
from bascule.cli.scan_options import ReportOptions, report_options
from bascule.cli.scan_scope import ScopeOptions, scope_options

COMMANDS: Mapping[str, str] = {
    "configs": "scan_configs:configs",
    "host": "scan_host:host",
    "url": "scan_url:url",
    "net": "scan_net:net",
    "text": "scan_text:text",
    "vantage": "scan_vantage:vantage",
}
"""Command → module and attribute below `bascule.cli`."""


@click.group(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@scope_options
@report_options
@click.pass_context
def scan(ctx: click.Context, *, scope: ScopeOptions, report: ReportOptions) -> None:
    """Find MCP servers: in clients' files, on this host, behind URLs, in your networks.

    Without a command it scans clients' files and this host, and joins the two. Nothing that
    is examined is executed, and nothing is sent anywhere but to the targets.
    """
    if ctx.invoked_subcommand is None:
        _scan_here(ctx, scope, report)
    for it in ctx.command.params:
        source = ctx.get_parameter_source(it.name or "")
        if source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"put {it.opts[0]} behind `{ctx.invoked_subcommand}`")


def _scan_here(ctx: click.Context, scope: ScopeOptions, report: ReportOptions) -> None:
    from bascule.cli.scan_configs import scanned_configs
    from bascule.cli.scan_host import (
        connectors_of,
        look_at_host,
        ports_of_bascule,
        with_more,
    )
    from bascule.cli.scan_output import finish
    from bascule.scan.clients.homes import own_homes
    from bascule.scan.joined import joined
    from bascule.scan.this_host import named_by_clients

    context = ctx.ensure_object(CommandContext)
    files = scanned_configs(context, own_homes(os.environ))
    clients = named_by_clients(files.servers)
    connectors, unread = connectors_of(context)
    named, ports = [*clients, *connectors], ports_of_bascule(context)
    found = joined(files, clients, look_at_host(named, scope, bascule_ports=ports))
    finish(ctx, with_more(found, unread), report)
