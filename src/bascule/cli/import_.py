"""`bascule import`: what others know, from a file into the state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line

if TYPE_CHECKING:
    from bascule.lock.advisory_feed import Progress


@click.group("import")
def import_() -> None:
    """Take in what others know: advisories."""


@import_.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def osv(context: CommandContext, *, file: Path, as_json: bool) -> None:
    """Import advisories: FILE is an `all.zip` as OSV publishes one for each ecosystem.

    `bascule monitor` and the running server hold every locked package against them. What is
    known stays when FILE is older. Nothing is fetched.
    """
    from bascule.app.advisories import import_feed
    from bascule.clock import system_clock
    from bascule.lock.advisory_feed import file_digest

    context.record_admin("advisories.import", {"sha256": file_digest(file)})
    with Line() as line:

        def tell(progress: Progress) -> None:
            line.say(f"{progress.read} of {progress.total} advisories")

        feeds = import_feed(context.store(), file, now=system_clock(), progress=tell)
    if not feeds:
        click.echo("nothing imported: FILE is about no package of PyPI or npm", err=True)
    rows = (
        {
            "ecosystem": it.ecosystem,
            "advisories": it.advisories,
            "newest": it.newest,
            "sha256": it.sha256,
        }
        for it in feeds
    )
    columns = ("ecosystem", "advisories", "newest")
    emit_rows(rows, columns=columns, as_json=as_json)
