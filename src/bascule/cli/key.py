"""`bascule key`: the keys that sign access tokens, and orders to vantage points."""

from __future__ import annotations

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.user import as_json_option
from bascule.clock import system_clock
from bascule.storage import counters, key_files


@click.group()
def key() -> None:
    """Look after the signing keys."""


@key.command()
@click.option(
    "--compromised", is_flag=True, help="Drop the old keys at once: their tokens end."
)
@as_json_option
@click.pass_obj
def rotate(context: CommandContext, compromised: bool, as_json: bool) -> None:
    """Sign with a new key; tokens of the old ones stay valid until they expire."""
    context.record_admin("key.rotate", {"compromised": str(compromised).lower()})
    store = context.place().keys
    fresh = key_files.rotate(store, compromised=compromised, now=system_clock())
    context.change(lambda conn: counters.advance(conn, "generation"))
    emit(
        {"kid": fresh.kid},
        text=f"new tokens are signed by key {fresh.kid}",
        as_json=as_json,
    )


@key.command("vantage")
@as_json_option
@click.pass_obj
def vantage_(context: CommandContext, as_json: bool) -> None:
    """Print the public key that vantage points know this Bascule by.

    `bascule scan vantage --paired-key` takes it on the other machine. It is made when
    missing.
    """
    from bascule.app.vantages import public_line, vantage_key

    line = public_line(vantage_key(context.place()))
    emit({"public_key": line}, text=line, as_json=as_json)
