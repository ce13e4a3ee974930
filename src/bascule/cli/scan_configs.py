"""`bascule scan configs`: what MCP clients are told to start and to call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import printable
from bascule.cli.scan_options import ReportOptions, report_options
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.scan.clients.places import Home
    from bascule.scan.config_checks.packages import Known
    from bascule.scan.configs import Scanned


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
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that holds the last scan, to tell what changed since.",
)
@report_options
@click.pass_context
def configs(
    ctx: click.Context,
    *,
    paths: tuple[Path, ...],
    homes: tuple[Path, ...],
    public_urls: tuple[str, ...],
    state: Path | None,
    report: ReportOptions,
) -> None:
    """Find the servers that MCP clients have in their files, and what is wrong with them.

    Looks in your home (in all homes, as root), in the system's folders, and in every
    project below; or in PATHS alone: files, and folders with projects. Starts nothing and
    sends nothing.
    """
    from bascule.cli.scan_output import finish
    from bascule.scan.clients.homes import named_home, own_homes

    scanned_homes = tuple(map(named_home, homes))
    if not homes and not paths:
        scanned_homes = own_homes(os.environ)
    context = ctx.ensure_object(CommandContext)
    found = scanned_configs(context, scanned_homes, paths, public_urls, state)
    finish(ctx, found.report, report)


def scanned_configs(
    context: CommandContext,
    homes: Sequence[Home],
    paths: Sequence[Path] = (),
    public_urls: Sequence[str] = (),
    state: Path | None = None,
) -> Scanned:
    """Scan files of clients, with what this machine's Bascule knows beside.

    What changed since the last such scan is among the findings.
    """
    from bascule.cli.progress import Line
    from bascule.cli.scan_state import with_changes
    from bascule.scan.configs import scan_configs

    urls = (*public_urls, *_own_url(context))
    with Line() as line:
        scanned = scan_configs(
            homes,
            tuple(map(str, paths)),
            public_urls=urls,
            advisories=_advisories(context),
            looking=lambda folder: line.say(f"looking for projects in {folder}"),
        )
    named = map(_root_of, paths)
    roots = (*(it.path for it in homes), *named)
    return with_changes(scanned, roots, state, may_be_first=bool(paths))


def _root_of(path: Path) -> str:
    """Name what is scanned; relative paths with the folder that files are named from."""
    return path.as_posix() if path.is_absolute() else f"{Path.cwd()}//{path.as_posix()}"


def _own_url(context: CommandContext) -> tuple[str, ...]:
    """Give the public URL of the configuration, where there is one that can be read."""
    if context.named_config is None and not context.config_path.exists():
        return ()
    try:
        return (context.config().server.public_url,)
    except BasculeError as exc:
        if context.named_config is not None:
            raise
        click.echo(f"left out, because it cannot be used: {printable(str(exc))}", err=True)
        return ()


def _advisories(context: CommandContext) -> Known | None:
    """Give what was imported into a data directory that was named."""
    if context.named_data_dir is None or not context.has_state():
        return None
    from bascule.app.advisories import about_packages

    store = context.store()
    return lambda packages: about_packages(store, packages)[0]
