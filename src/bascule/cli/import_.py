"""`bascule import`: what others know, from a file into the state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows, printable
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option

if TYPE_CHECKING:
    from bascule.lock.advisory_feed import Progress


@click.group("import")
def import_() -> None:
    """Take in what others know: advisories, and audits of packages."""


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


@import_.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json_option
@click.pass_obj
def audits(context: CommandContext, *, name: str, file: Path, as_json: bool) -> None:
    """Import audits of packages: FILE is somebody else's `audits.toml`.

    It is kept as `audits/NAME.toml` beside the configuration, and `audits.toml` names it
    with its digest. Nobody's audits of it count before `imports.NAME` there says whose, and
    which of their criteria mean which of ours. Nothing is fetched.
    """
    from bascule.app.reviews import FILE, import_audits, read_file

    theirs, settings = import_audits(
        context.config_path.parent,
        name,
        read_file(file),
        lambda digest: context.record_admin(
            "audits.import", {"name": name, "sha256": digest}
        ),
    )
    people = sorted({it.who for it in theirs.audits})
    criteria = list(theirs.criteria)
    emit(
        {
            "name": name,
            "file": settings.file,
            "sha256": settings.sha256,
            "audits": len(theirs.audits),
            "people": people,
            "criteria": criteria,
            "people_that_count": settings.people,
            "criteria_that_count": settings.criteria,
        },
        text=printable(
            f"imported {len(theirs.audits)} audits into {settings.file}\n"
            f"  by {', '.join(people) or 'nobody'}; "
            f"{', '.join(settings.people) or 'nobody'} of them counts\n"
            f"  criteria {', '.join(criteria) or 'none'}; "
            f"{', '.join(settings.criteria) or 'none'} of them counts\n"
            f"  `people` and `criteria` of `imports.{name}` in {FILE} say what counts"
        ),
        as_json=as_json,
    )
