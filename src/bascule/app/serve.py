"""`bascule up`: the data directory taken, the state opened, a supervisor run on them."""

from __future__ import annotations

import asyncio
import sys

from bascule.app import state
from bascule.app.load import Loaded, Sources, load
from bascule.app.supervisor import Supervisor
from bascule.storage.store import Store


def serve(sources: Sources) -> None:
    """Serve until SIGTERM. Raises `BasculeError` when it must not start."""
    loaded = load(sources)
    with state.exclusive(sources.data_dir):
        store = state.open_state(sources.data_dir)
        try:
            _run(sources, loaded, store)
        finally:
            store.close()


def _run(sources: Sources, loaded: Loaded, store: Store) -> None:
    async def main() -> None:
        await Supervisor(sources, loaded, store).run()

    if sys.platform == "win32":
        asyncio.run(main())
        return
    import uvloop

    uvloop.run(main())
