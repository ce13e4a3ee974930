"""`bascule update`: newer versions, proposed while the old ones keep running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.lock import (
    COOLDOWN,
    WITH_ACCESS,
    locking,
    record_lock,
    row_of,
    tell_warnings,
)
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line

if TYPE_CHECKING:
    from bascule.app.locking import Draft


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@COOLDOWN
@click.option(
    "--any-builder",
    is_flag=True,
    help="Also take versions that were built by somebody else, or nobody knows by whom.",
)
@WITH_ACCESS
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def update(
    context: CommandContext,
    *,
    names: tuple[str, ...],
    cooldown_days: int | None,
    any_builder: bool,
    with_access: bool,
    as_json: bool,
) -> None:
    """Look for newer versions of connectors, and propose them: all, or those of the NAMEs.

    What is approved keeps running. `bascule diff NAME locked..proposed` shows what would
    change, `bascule approve NAME --proposed` puts it into the lock.
    """
    from bascule.app.proposals import propose
    from bascule.lock.lock_file import entries_of, read_lock

    config = context.config()
    rows, drafts = [], []
    with (
        Line() as line,
        locking(context, config, line, cooldown_days, with_access=with_access) as place,
    ):
        for name in entries_of(read_lock(place.folder), names):
            made = propose(place, name, any_builder=any_builder)
            rows.append(_row(name, made))
            if made is not None:
                record_lock(context, place, made, "connector.propose")
                drafts.append(made)
    columns = ("connector", "proposed", "packages", "tools")
    emit_rows(rows, columns=columns, as_json=as_json)
    for it in drafts:
        tell_warnings(it)


def _row(name: str, made: Draft | None) -> dict[str, object]:
    """Give what is printed of a connector; nothing but its name when nothing is newer."""
    if made is None:
        return {"connector": name, "proposed": None, "packages": None, "tools": None}
    row = row_of(made)
    return {"connector": name, "proposed": row.pop("entry"), **row}
