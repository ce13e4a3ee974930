"""`bascule key`: the keys that sign access tokens, and orders to vantage points."""

from __future__ import annotations

from functools import partial

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.user import as_json_option
from bascule.clock import system_clock, system_entropy
from bascule.storage import counters, key_files
from bascule.storage import vault as stored


@click.group()
def key() -> None:
    """Look after the signing keys."""


@key.command()
@click.option(
    "--compromised", is_flag=True, help="Drop the old keys at once: their tokens end."
)
@click.option(
    "--vault",
    "of_vault",
    is_flag=True,
    help="Encrypt the vault anew instead: new data keys, wrapped by a new key.",
)
@as_json_option
@click.pass_obj
def rotate(
    context: CommandContext, compromised: bool, of_vault: bool, as_json: bool
) -> None:
    """Sign with a new key; tokens of the old ones stay valid until they expire.

    With --vault nothing is signed anew: all secrets that the database holds get new data
    keys. These are wrapped by a new key, or by the one that `vault.key` names, and what
    `vault.former` names is needed no more. It may be run while the server runs, and again
    when it was interrupted.
    """
    if of_vault:
        if compromised:
            raise click.UsageError("--compromised is about the keys that sign tokens")
        _rotate_vault(context, as_json=as_json)
        return
    context.record_admin("key.rotate", {"compromised": str(compromised).lower()})
    store = context.place().keys
    fresh = key_files.rotate(store, compromised=compromised, now=system_clock())
    context.change(lambda conn: counters.advance(conn, "generation"))
    emit(
        {"kid": fresh.kid},
        text=f"new tokens are signed by key {fresh.kid}",
        as_json=as_json,
    )


def _rotate_vault(context: CommandContext, *, as_json: bool) -> None:
    from bascule.app.vault_keys import OwnKeys, vault_keys

    context.record_admin("key.rotate", {"vault": "true"})
    place, table = context.place(), context.config().vault
    store = context.store()
    keys = vault_keys(table, place.keys, system_clock, system_entropy)
    if isinstance(keys, OwnKeys):
        keys.renew()
    vault = place.vault(table)
    owners = store.read(stored.owners)
    for owner in owners:
        store.run(partial(vault.rotate, owner=owner))
    if isinstance(keys, OwnKeys):
        keys.drop(store.read(stored.key_ids))
    emit(
        {"owners": len(owners)},
        text=f"the secrets of {len(owners)} owners are encrypted anew",
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
