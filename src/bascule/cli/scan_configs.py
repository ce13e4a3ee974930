"""`bascule scan configs`: what MCP clients are told to start and to call."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bascule.cli.context import CommandContext
from bascule.cli.scan_options import ReportOptions, report_options


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--home",
    "homes",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Scan this home, perhaps mounted from elsewhere, instead of your own.",
)
@click.option(
    "--bascule",
    "public_urls",
    multiple=True,
    metavar="URL",
    help="Public URL of a Bascule that clients should go through.",
)
@report_options
@click.pass_context
def configs(
    ctx: click.Context,
    *,
    paths: tuple[Path, ...],
    homes: tuple[Path, ...],
    public_urls: tuple[str, ...],
    report: ReportOptions,
) -> None:
    """Find the servers that MCP clients have in their files, and what is wrong with them.

    Looks in your home (in all homes, as root), in the system's folders, and in every
    project below; or in PATHS alone: files, and folders with projects. Starts nothing and
    sends nothing.
    """
    from bascule.cli.scan_output import finish
    from bascule.scan.clients.homes import named_home, own_homes
    from bascule.scan.configs import scan_configs

    context = ctx.ensure_object(CommandContext)
    scanned_homes = tuple(map(named_home, homes))
    if not homes and not paths:
        scanned_homes = own_homes(os.environ)
    scanned = scan_configs(
        scanned_homes,
        tuple(map(str, paths)),
        public_urls=(*public_urls, *_own_url(context)),
    )
    finish(ctx, scanned.report, report)


def _own_url(context: CommandContext) -> tuple[str, ...]:
    """Give the public URL of the configuration, where there is one."""
    if context.named_config is None and not context.config_path.exists():
        return ()
    return (context.config().server.public_url,)
