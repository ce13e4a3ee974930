"""`bascule install`: bring what is locked into the store of this machine."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.lock import locking
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.app.installing import Outcome

DIFFERS = 1
"""Exit code when something else came out than is locked."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "all_", is_flag=True, help="Every connector that is locked.")
@click.option(
    "--from",
    "artifacts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of wheels and tarballs to install from, in place of the registries.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_context
def install(
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    all_: bool,
    artifacts: Path | None,
    as_json: bool,
) -> None:
    """Install what `mcp.lock.json` locks, unless the store has it.

    What comes out must be the locked tree, byte for byte; else nothing is installed, and
    the exit code is 1. Nothing is resolved, and nothing that a package brings is run.
    """
    from bascule.app.installing import install_entry
    from bascule.lock.lock_file import read_lock

    context: CommandContext = ctx.obj
    if all_ == bool(names):
        raise click.UsageError("name connectors, or give --all")
    with Line() as line, locking(context, context.config(), line) as place:
        place = replace(place, artifacts=artifacts)
        locked = read_lock(place.folder).connectors
        for name in names:
            if name not in locked:
                raise BasculeError(
                    f"connector `{name}` is not locked: `bascule lock {name}`"
                )
        outcomes = []
        for name in names or sorted(locked):
            place.progress(f"{name}: installing")
            outcomes.append(install_entry(place, name, locked[name]))
    _emit(outcomes, as_json)
    ctx.exit(DIFFERS if any(it.state == "differs" for it in outcomes) else 0)


def _emit(outcomes: list[Outcome], as_json: bool) -> None:
    from bascule.lock.invisible import visible

    emit_rows(
        (asdict(it) for it in outcomes),
        columns=("connector", "state", "tree"),
        as_json=as_json,
    )
    for it in outcomes:
        for note in it.notes:
            click.secho(f"warning: {it.connector}: {visible(note)}", fg="yellow", err=True)
