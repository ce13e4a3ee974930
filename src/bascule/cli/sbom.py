"""`bascule sbom`: what locked connectors are made of, for other tools."""

from __future__ import annotations

import click

from bascule.cli.context import CommandContext


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--vex", is_flag=True, help="Print what was found out about advisories.")
@click.pass_obj
def sbom(context: CommandContext, *, names: tuple[str, ...], vex: bool) -> None:
    """Print a bill of materials: CycloneDX 1.6, of NAMEs or of all that is locked.

    With `--vex` an OpenVEX document instead: the `findings` of the lock, which say why an
    advisory does not count.
    """
    from importlib.metadata import version

    from bascule.clock import system_clock
    from bascule.lock import openvex
    from bascule.lock.lock_file import entries_of, read_lock
    from bascule.lock.sbom import sbom as bill_of_materials

    entries = entries_of(read_lock(context.config_path.parent), names)
    now = system_clock()
    if vex:
        text = openvex.openvex(entries, author="bascule", now=now)
    else:
        text = bill_of_materials(entries, version=version("bascule"), now=now)
    click.echo(text, nl=False)
