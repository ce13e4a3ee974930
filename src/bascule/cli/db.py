"""`bascule db`: the state database."""

from __future__ import annotations

import click

from bascule.app import state
from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.user import as_json_option
from bascule.storage import migrate as migrations
from bascule.storage.schema import VERSION


@click.group()
def db() -> None:
    """Look after the state database."""


@db.command()
@as_json_option
@click.pass_obj
def migrate(context: CommandContext, as_json: bool) -> None:
    """Bring the state database to this version's schema; stop the server first."""
    with state.exclusive(context.data_dir()):
        store = context.place().open_unchecked()
        before = migrations.version(store)
        shared = context.place().is_shared
        if not shared:
            _record(context, before)
        migrations.migrate(store)
        if shared:
            _record(context, before)  # the log's own tables are among those that were made
        after = migrations.version(store)
    text = f"schema {before or 'none'} -> {after}"
    emit({"from": before, "to": after}, text=text, as_json=as_json)


def _record(context: CommandContext, before: str | None) -> None:
    context.record_admin("db.migrate", {"from": before or "none", "to": VERSION})
