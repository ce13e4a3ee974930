"""`bascule db`: the state database."""

from __future__ import annotations

import click

from bascule.app import state
from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.user import as_json_option
from bascule.storage import migrate as migrations


@click.group()
def db() -> None:
    """Look after the state database."""


@db.command()
@as_json_option
@click.pass_obj
def migrate(context: CommandContext, as_json: bool) -> None:
    """Bring the state database to this version's schema; stop the server first."""
    with state.exclusive(context.data_dir()):
        store = state.open_unchecked(context.data_dir())
        before = migrations.version(store)
        migrations.migrate(store)
        after = migrations.version(store)
        store.close()
    emit({"from": before, "to": after}, text=f"schema {before} -> {after}", as_json=as_json)
