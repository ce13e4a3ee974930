"""`bascule up`: the data directory taken, the state opened, a supervisor run on them."""

from __future__ import annotations

import asyncio
import logging
import sys

from bascule.app import state
from bascule.app.descriptors import raise_limit
from bascule.app.dumpable import keep_rights
from bascule.app.load import Loaded, Sources, load, with_state
from bascule.app.place import Place
from bascule.app.setup_links import offer_first_admin
from bascule.app.supervisor import Options, Supervisor
from bascule.clock import system_clock
from bascule.errors import BasculeError

log = logging.getLogger("bascule")

ONE_HOST = (
    "state and log are in PostgreSQL, which other hosts may share; legacy sessions and "
    "stdio servers live on one host: have your load balancer send a client to the same one"
)


def serve(sources: Sources, *, workers: int = 1, watch: bool = False) -> None:
    """Serve until SIGTERM. Raises `BasculeError` when it must not start."""
    if workers > 1 and sys.platform != "linux":
        raise BasculeError("more than one worker needs Linux: leave out --workers")
    keep_rights()
    raise_limit()
    loaded = load(sources)
    with state.exclusive(sources.data_dir) as lock:
        place = Place(sources.data_dir, loaded.config.server)
        try:
            show = _show_link if sys.stderr.isatty() else None
            offer_first_admin(place, loaded.config.server.public_url, show)
            if place.is_shared:
                log.warning(ONE_HOST)
            loaded = with_state(loaded, sources, place, now=system_clock())
            _run(sources, loaded, place, Options(workers, watch, lock))
        finally:
            place.close()


def _show_link(link: str) -> None:
    print(
        f"\nNobody administers this server yet. Within 15 minutes: {link}\n",
        file=sys.stderr,
        flush=True,
    )


def _run(sources: Sources, loaded: Loaded, place: Place, options: Options) -> None:
    async def main() -> None:
        await Supervisor(sources, loaded, place, options).run()

    if sys.platform == "win32":
        asyncio.run(main())
        return
    import uvloop

    uvloop.run(main())
