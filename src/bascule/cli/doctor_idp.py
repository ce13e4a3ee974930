"""`bascule doctor idp`: is everything well between Bascule and an identity provider?"""

from __future__ import annotations

import asyncio

import click
import msgspec

from bascule.app.doctor import Finding
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, printable
from bascule.cli.user import as_json_option
from bascule.clock import system_clock, system_entropy
from bascule.errors import BasculeError

FOUND = 1
"""Exit code: something is wrong."""


@click.command("idp")
@click.argument("name")
@as_json_option
@click.pass_context
def idp(ctx: click.Context, name: str, as_json: bool) -> None:
    """Try all that a login by the identity provider NAME needs; signs nobody in.

    Its metadata and keys, whether it knows Bascule by its secret or key, whether the groups
    that the configuration names are those that it sends, and whether it vouches for its
    users where a connector needs that (`id_jag`).
    """
    context: CommandContext = ctx.obj
    found = asyncio.run(_examine(context, name))
    ok = all(it.ok for it in found)
    if as_json:
        checks = [msgspec.structs.asdict(it) for it in found]
        emit({"ok": ok, "checks": checks}, text="", as_json=True)
    else:
        for it in found:
            _print(name, it)
        url = context.config().server.public_url
        click.echo(f"Then sign in at {url}/login/with/{name}, and look at `audit query`.")
    ctx.exit(0 if ok else FOUND)


async def _examine(context: CommandContext, name: str) -> list[Finding]:
    from bascule.app.doctor_idp import examine_provider
    from bascule.authserver.provider_exchange import ProviderExchange
    from bascule.oauthclient.openid import OpenIdProviders
    from bascule.storage import users

    config = context.config()
    if name not in config.providers:
        raise BasculeError(f"there is no provider `{name}`: see `[providers]`")
    groups = [group for it in context.store().read(users.every) for group in it.groups]
    exchange = ProviderExchange(
        OpenIdProviders(lambda: config),
        context.place().secrets(config.vault),
        clock=system_clock,
        entropy=system_entropy,
    )
    return [it async for it in examine_provider(exchange, config, name, groups)]


def _print(name: str, found: Finding) -> None:
    mark = click.style("ok ", fg="green") if found.ok else click.style("BAD", fg="red")
    what = found.check if found.connector is None else f"{found.check}, {found.connector}"
    line = f"{mark}  {name}  {what}: {printable(found.found)}"
    click.echo(line if found.ok else f"{line}\n     -> {printable(found.fix)}")
