"""The supervisor: what `bascule up` has once, however many workers serve."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path

from bascule.app import state
from bascule.app.admin import admin_application
from bascule.app.load import Loaded, Sources, load, require_same_server
from bascule.app.timers import Timer, run_timers
from bascule.app.worker import TICK_SECONDS, Recording, Worker, crashed
from bascule.audit.log import AuditLog
from bascule.clock import system_entropy
from bascule.errors import BasculeError
from bascule.gateway.asgi import AsgiBridge
from bascule.gateway.ingress import Allowed
from bascule.gateway.listener import Listener, bind
from bascule.gateway.public import PagesHandler
from bascule.storage.store import Store

log = logging.getLogger("bascule")


class Supervisor:
    """Holds sockets, sequencer, admin listener and timers; serves by its worker."""

    def __init__(self, sources: Sources, loaded: Loaded, store: Store) -> None:
        self._sources = sources
        self._loaded = loaded
        config = loaded.config
        self._public_sockets = bind(config.server.listen)
        self._admin_sockets = bind(config.server.admin_listen)
        self._stopping = asyncio.Event()
        self._audit = _open_log(sources.data_dir, loaded)
        self._worker = Worker(sources.data_dir, loaded, store, self._recording(self._audit))
        self._admin = Listener(self._admin_sockets, self._admin_handler(), config.limits)

    @staticmethod
    def _recording(audit: AuditLog) -> Recording:
        return Recording(
            writer=audit.writer,
            origin=audit.origin,
            boot=audit.boot,
            lag=lambda: audit.sequencing.lag,
            late=audit.late,
        )

    def _admin_handler(self) -> PagesHandler:
        pages = admin_application(self._worker.gateway, lambda: self._audit.sequencing.lag)
        bridge = AsgiBridge(pages, scheme="http", on_crash=crashed)
        port = self._admin_sockets[0].getsockname()[1]
        names = [f"{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")]
        listed = self._loaded.config.server.admin_listen
        hosts = frozenset(name.encode() for name in [*names, listed])
        return PagesHandler(
            bridge, Allowed(hosts, frozenset(b"http://" + it for it in hosts))
        )

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        self._audit.start(loop)
        await self._worker.start(self._public_sockets)
        await self._admin.start()
        timers = loop.create_task(run_timers([*self._worker.timers, *self._timers]))
        gc.collect()
        gc.freeze()
        self._say_ready()
        stopping = loop.create_task(self._stopping.wait())
        ended, _ = await asyncio.wait(
            {timers, stopping}, return_when=asyncio.FIRST_COMPLETED
        )
        self._admin.stop_accepting()
        await self._worker.drain()
        self._admin.abort()
        timers.cancel()
        stopping.cancel()
        await asyncio.to_thread(self._audit.close)
        if timers in ended:
            timers.result()  # timers never end, unless by a bug

    @property
    def _timers(self) -> list[Timer]:
        return [Timer(TICK_SECONDS, self._tick)]

    async def _tick(self) -> None:
        self._admin.expire()

    def _say_ready(self) -> None:
        public = self._loaded.config.server.public_url
        admin = f"http://localhost:{self._admin.port}"
        print(f"ready public={public} admin={admin}", file=sys.stderr, flush=True)

    def reload(self) -> None:
        """Take up a changed configuration, whole; a bad one changes nothing and is told."""
        try:
            loaded = load(self._sources)
            require_same_server(self._loaded.config, loaded.config)
            self._worker.prepare(loaded)
            self._record_reload(loaded)
        except BasculeError as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            return
        self._worker.commit()
        self._loaded = loaded
        log.warning("configuration reloaded, policies %s", loaded.snapshot.digest[:16])

    def _record_reload(self, loaded: Loaded) -> None:
        state.record_admin(
            self._sources.data_dir,
            "policy.reload",
            {
                "before": self._loaded.snapshot.digest,
                "after": loaded.snapshot.digest,
                "config": loaded.snapshot.config_digest,
            },
            user=None,
            agent=None,
            connector=None,
        )


def _open_log(data_dir: Path, loaded: Loaded) -> AuditLog:
    copies = loaded.config.audit.copies
    return AuditLog(
        data_dir,
        state.open_inbox(data_dir),
        state.keys_of_log(data_dir),
        system_entropy,
        copies=tuple(Path(it.removeprefix("file:")) for it in copies),
        on_problem=lambda problem: log.error("log: %s", problem),
    )
