"""`bascule monitor`: what has come up since connectors were approved."""

from __future__ import annotations

import click

from bascule.cli.context import CommandContext
from bascule.cli.lock import locking
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line

FOUND = 1


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--offline", is_flag=True, help="Ask no registry for newer versions.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def monitor(
    context: CommandContext, *, names: tuple[str, ...], offline: bool, as_json: bool
) -> None:
    """Look for what came up since connectors were approved: all, or those of the NAMEs.

    Advisories (of feeds that `bascule import osv` took in), newer and withdrawn versions,
    lost provenance, approvals that end. What nobody could know is `not_assessed`, and never
    fine. Exit code 1 when something was found.
    """
    from bascule.app.watching import look
    from bascule.lock.invisible import visible

    config = context.config()
    with Line() as line, locking(context, config, line) as place:
        news = look(
            context.place(),
            place,
            context.config_path,
            names,
            ask_registries=not offline,
        )
    emit_rows(
        (
            {
                "connector": it.connector,
                "subject": it.subject,
                "state": it.state,
                "detail": it.detail if as_json else visible(it.detail),
                "ids": it.ids,
                "stops": it.stops,
            }
            for it in news
        ),
        columns=("connector", "subject", "state", "detail"),
        as_json=as_json,
    )
    if any(it.state == "found" for it in news):
        click.get_current_context().exit(FOUND)
