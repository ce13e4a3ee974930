"""`bascule up`: serve."""

from __future__ import annotations

import contextlib
import logging
import sys
from functools import partial

import click
import msgspec

from bascule.app import demo as demonstration
from bascule.app.load import Sources
from bascule.app.serve import serve
from bascule.cli.context import CommandContext
from bascule.cli.user import add_user, reset_user
from bascule.config.addresses import is_network
from bascule.config.model import Config
from bascule.storage import users, ways_in

DEMO_USER = "demo"

log = logging.getLogger("bascule")


@click.command()
@click.option(
    "--demo", is_flag=True, help="With two example servers, their roles and a user."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that serve; more than one needs Linux.",
)
@click.option(
    "--behind-proxy",
    "proxies",
    multiple=True,
    metavar="CIDR",
    callback=lambda _context, _option, networks: _require_networks(networks),
    help="Network of reverse proxies in front, added to `server.behind_proxy`.",
)
@click.option(
    "--unsafe-cleartext",
    is_flag=True,
    help="Serve beyond loopback without TLS: who is on the way can take tokens. Recorded.",
)
@click.option("--watch", is_flag=True, help="Reload when the configuration changes.")
@click.pass_obj
def up(
    context: CommandContext,
    demo: bool,
    workers: int,
    proxies: tuple[str, ...],
    unsafe_cleartext: bool,
    watch: bool,
) -> None:
    """Serve in the foreground until SIGTERM; SIGHUP reloads the configuration."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    # What stdio servers write to standard error is for the operator to read.
    logging.getLogger("bascule.stdio").setLevel(logging.INFO)
    with contextlib.ExitStack() as stack:
        if demo:
            demonstration.write_configuration(context.config_path)
            key = context.config_path.with_name(demonstration.TICKETS_KEY)
            stack.enter_context(demonstration.tickets_server(key))
            link = _demo_user_link(context)
        sources = Sources(
            context.config_path,
            context.data_dir(),
            lambda: _behind(context.config(), proxies),
            unsafe_cleartext,
        )
        if unsafe_cleartext:
            context.record_admin("up.unsafe", {"escape": "--unsafe-cleartext"})
            log.warning("--unsafe-cleartext: who is on the way here can take tokens")
        if demo:
            url = context.config().server.public_url
            click.echo(
                demonstration.explanation(context.config_path, sources.data_dir, url, link),
                err=True,
            )
        serve(sources, workers=workers, watch=watch)


def _require_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        if not is_network(network) or network.endswith("/0"):
            raise click.BadParameter(
                f"`{network}` must be the network of your proxies, like 10.0.0.0/8"
            )
    return networks


def _behind(config: Config, proxies: tuple[str, ...]) -> Config:
    """Add to the proxies of a configuration."""
    replace = msgspec.structs.replace
    every = (*config.server.behind_proxy, *proxies)
    return replace(config, server=replace(config.server, behind_proxy=every))


def _demo_user_link(context: CommandContext) -> str:
    """Give the link by which the demo's user sets up its login; empty once it has."""
    store = context.store()
    if store.read(partial(users.get, name=DEMO_USER)) is None:
        link, _ = add_user(context, DEMO_USER, groups=(), admin=False)
        return link
    if store.read(partial(ways_in.exists, name=DEMO_USER)):
        return ""
    return reset_user(context, DEMO_USER)
