"""`bascule scan vantage`: connect to targets for a Bascule elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.scan.vantage_relay import Relay


@click.command()
@click.option(
    "--listen", required=True, metavar="HOST:PORT", help="Where Bascule connects to."
)
@click.option(
    "--paired-key",
    required=True,
    metavar="KEY",
    help="Public key of the one Bascule that is served: what `bascule key vantage` prints.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its own key and of its records [default: XDG state, bascule-vantage].",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1000, min_open=True),
    default=50.0,
    show_default=True,
    help="Connections a second to targets.",
)
def vantage(*, listen: str, paired_key: str, state: Path | None, rate: float) -> None:
    """Connect from this machine to what your Bascule elsewhere probes, and pass bytes on.

    It carries out orders that are signed by the paired key, and nothing else: it looks up
    no names, never connects to this machine, and sees nothing of TLS. Each order is in
    `records.jsonl` before it is carried out.
    """
    from functools import partial

    from bascule.clock import system_clock, system_entropy
    from bascule.config.addresses import host_and_port
    from bascule.scan.interfaces import is_own, own_addresses
    from bascule.scan.vantage_identity import paired_point, tls_of
    from bascule.scan.vantage_records import append
    from bascule.scan.vantage_relay import Relay

    place = host_and_port(listen)
    if place is None:
        raise click.UsageError("--listen is HOST:PORT")
    folder = state or _default_state()
    relay = Relay(
        paired=paired_point(paired_key),
        is_own=lambda address: is_own(address, own_addresses()),
        record=partial(append, folder / "records.jsonl"),
        clock=system_clock,
        entropy=system_entropy,
        rate=rate,
    )
    context, fingerprint = tls_of(
        folder / "vantage.pem", now=system_clock(), entropy=system_entropy
    )
    asyncio.run(_serve(relay, place, context, fingerprint))


async def _serve(
    relay: Relay, place: tuple[str, int], context: ssl.SSLContext, fingerprint: str
) -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        server = await relay.listen(*place, context)
    except OSError as exc:
        raise BasculeError(f"cannot listen on {place[0]}:{place[1]}: {exc}") from exc
    port = server.sockets[0].getsockname()[1]
    click.echo(f"ready vantage={place[0]}:{port} fingerprint={fingerprint}", err=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    server.close()


def _default_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "bascule-vantage"
