"""`bascule run`: a locked connector for a client that starts its servers itself."""

from __future__ import annotations

import click

from bascule.cli.context import CommandContext

REFUSED = 1


@click.command()
@click.argument("name")
@click.pass_obj
def run(context: CommandContext, *, name: str) -> None:
    """Run connector NAME from the store, in its sandbox, on this terminal or pipe.

    For clients that start their servers themselves: write this command in place of `npx` or
    `uvx`. Approval, settings, interpreter and every file are checked before; no registry is
    asked. Exit code 1 when it is not approved or not as it was locked. Calls do not pass
    Bascule's policies on this way: `bascule up` is for that.
    """
    import asyncio

    from bascule.app.locked_launch import LockedLaunch
    from bascule.app.running import run as run_through
    from bascule.clock import system_clock
    from bascule.launch.command import LaunchError

    launch = LockedLaunch(
        place=context.place(),
        config_path=context.config_path,
        config=context.config(),
        clock=system_clock,
    )
    try:
        status = asyncio.run(run_through(launch, name))
    except LaunchError as exc:
        click.echo(f"error: {exc}", err=True)
        status = REFUSED
    click.get_current_context().exit(status)
