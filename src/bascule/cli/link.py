"""`bascule link`: connect a user's own account at an upstream, or end it."""

from __future__ import annotations

import time
from functools import partial

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.revoke import user_key
from bascule.cli.user import as_json_option
from bascule.clock import system_clock, system_entropy
from bascule.errors import BasculeError
from bascule.storage import link_requests, linked_accounts, users
from bascule.storage.link_requests import ID_BYTES, LIFETIME_SECONDS, digest

LOOK_SECONDS = 0.5
REASON = "unlinked by the operator"


@click.command()
@click.argument("name")
@click.option("--user", help="Whose account; may be left out where there is one user.")
@click.option("--remove", is_flag=True, help="End the account instead.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is connected.")
@as_json_option
@click.pass_obj
def link(
    context: CommandContext,
    name: str,
    user: str | None,
    remove: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Connect an account of a user at the server of connector NAME.

    Prints an address, which that very user opens in a browser, signed in as themselves.
    """
    connector = context.config().connectors.get(name)
    if connector is None or connector.credential.kind != "per_user":
        raise BasculeError(
            f"connector `{name}` is none whose users have accounts of their own: it needs "
            '`credential = { kind = "per_user" }`'
        )
    who = user_key(user) if user is not None else _only_user(context)
    if remove:
        _remove(context, name, who, as_json)
        return
    _require_enabled(context, who)
    link_id = system_entropy(ID_BYTES).hex()
    context.record_admin("link.ask", {"for": who}, user=who, connector=name)
    ask = partial(link_requests.ask, link_id=link_id, user=who, agent="", connector=name)
    context.store().run(partial(ask, scope=(), now=system_clock()))
    url = f"{context.config().server.public_url}/link/{link_id}"
    emit(
        {"connector": name, "user": who, "url": url, "expires_in": LIFETIME_SECONDS},
        text=f"open {url} as {who.removeprefix('user:')} within ten minutes",
        as_json=as_json,
    )
    if wait:
        _wait(context, name, digest(link_id))


def _wait(context: CommandContext, name: str, id_hash: bytes) -> None:
    """Wait for the end of a request. Raises `BasculeError` unless it led to an account."""
    store, find = context.store(), partial(link_requests.find, id_hash=id_hash)
    found = store.read(partial(find, now=system_clock()))
    while found is not None and found.is_waiting:
        time.sleep(LOOK_SECONDS)
        found = store.read(partial(find, now=system_clock()))
    if found is None or found.state != "linked":
        raise BasculeError(
            f"`{name}` was not connected: nobody did it in time, or the server refused; "
            "run `bascule link` again"
        )
    click.echo(f"connected {name}", err=True)


def _remove(context: CommandContext, name: str, who: str, as_json: bool) -> None:
    found = context.store().read(partial(linked_accounts.live, user=who, connector=name))
    if found is None:
        raise BasculeError(f"{who} has no account connected for `{name}`")
    context.record_admin(
        "unlink", {"issuer": found.issuer, "reason": REASON}, user=who, connector=name
    )
    end = partial(linked_accounts.end, account_id=found.id, reason=REASON)
    context.change(partial(end, now=system_clock()))
    emit(
        {"connector": name, "user": who, "unlinked": True},
        text=f"unlinked {name} of {who.removeprefix('user:')}; while `bascule up` runs its "
        "tokens are revoked there too, where the server knows how",
        as_json=as_json,
    )


def _require_enabled(context: CommandContext, who: str) -> None:
    """Raise `BasculeError` where nobody could follow the address."""
    name = who.removeprefix("user:")
    found = context.store().read(partial(users.get, name=name))
    if found is None or found.disabled:
        raise BasculeError(f"there is no user `{name}`, or it is disabled")


def _only_user(context: CommandContext) -> str:
    """Give the one enabled user. Raises `UsageError` where there are more, or none."""
    enabled = [it.name for it in context.store().read(users.every) if not it.disabled]
    if len(enabled) != 1:
        raise click.UsageError("name the user with --user")
    return f"user:{enabled[0]}"
