"""The supervisor: what `bascule up` has once, however many workers serve."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bascule.app.admin import admin_application
from bascule.app.boundary_watch import BoundaryWatch
from bascule.app.counts import Counts
from bascule.app.load import Loaded, Sources
from bascule.app.memory import keep_what_is_there
from bascule.app.place import Place
from bascule.app.reload import Reloading
from bascule.app.stdio import StdioHosts
from bascule.app.timers import Timer, run_timers
from bascule.app.watcher import Watcher
from bascule.app.worker import (
    TICK_SECONDS,
    Recording,
    Worker,
    crashed,
    proxies_of,
    tls_context,
)
from bascule.app.worker_processes import WorkerProcesses
from bascule.audit.log import AuditLog
from bascule.clock import system_entropy
from bascule.config.model import Server
from bascule.config.rules import is_exposed
from bascule.decision.snapshot import Gates, Grants
from bascule.gateway.asgi import AsgiBridge
from bascule.gateway.ingress import Allowed
from bascule.gateway.listener import Listener, bind
from bascule.gateway.public import PagesHandler

log = logging.getLogger("bascule")


@dataclass(frozen=True, slots=True)
class Options:
    """How `up` was called."""

    workers: int
    watch: bool
    """Reload when files of the configuration change."""
    lock: int
    """Descriptor that holds the data directory."""


class Serving(Protocol):
    """What serves the public listener: this process itself, or several others."""

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while it serves."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on bound sockets; returns when all of it does."""

    async def prepare(self, loaded: Loaded) -> None:
        """Make what a new configuration needs. Raises `BasculeError`."""

    def commit(self) -> None:
        """Put what was prepared into force."""

    def approve(self, gates: Gates) -> None:
        """Put into force what is approved of the configuration in force."""

    def grant(self, grants: Grants) -> None:
        """Put into force who was granted what beside it."""

    def counts(self) -> Counts:
        """Give what was counted for `/metrics`."""

    async def drain(self) -> None:
        """Let what is being answered come to its end."""


class Supervisor:
    """Holds sockets, sequencer, admin listener and timers, and has others serve."""

    def __init__(
        self, sources: Sources, loaded: Loaded, place: Place, options: Options
    ) -> None:
        config = loaded.config
        self._public_url = config.server.public_url
        self._public_sockets = bind(config.server.listen)
        self._admin_sockets = bind(config.server.admin_listen)
        self._stopping = asyncio.Event()
        self._audit = _open_log(place, loaded)
        self._stdio = StdioHosts(place, config, sources.config_path)
        self._serving = self._make_serving(place, loaded, options)
        self._reloading = Reloading(
            sources,
            place,
            loaded,
            [self._stdio, self._serving],
            self._serving.grant,
            watch=options.watch,
        )
        self._boundaries = BoundaryWatch(
            place, sources.config_path, self._reloading.config, self._stdio
        )
        self._watcher = Watcher(place, sources.config_path, self._reloading.config)
        # On loopback nobody stands between, whoever stands before the public listener.
        self._admin_exposed = is_exposed(config.server.admin_listen)
        self._admin = Listener(
            self._admin_sockets,
            self._admin_handler(config.server),
            config.limits,
            tls=tls_context(config) if self._admin_exposed else None,
            proxies=proxies_of(config) if self._admin_exposed else None,
        )
        self._admin_url = self._url_of_admin(config.server)

    def _make_serving(self, place: Place, loaded: Loaded, options: Options) -> Serving:
        audit = self._audit
        if options.workers > 1:
            return WorkerProcesses(
                options.workers, place.data_dir, loaded, audit, held=[options.lock]
            )
        recording = Recording(
            writer=audit.writer,
            origin=audit.origin,
            boot=audit.boot,
            lag=lambda: audit.sequencing.lag,
            late=audit.late,
        )
        return Worker(place, loaded, recording)

    def _admin_handler(self, server: Server) -> PagesHandler:
        pages = admin_application(
            self._serving.counts,
            lambda: self._audit.sequencing.lag,
            lambda: self._boundaries.counts,
        )
        scheme = "https" if self._admin_exposed and _is_encrypted(server) else "http"
        bridge = AsgiBridge(pages, scheme=scheme, on_crash=crashed)
        port = self._admin_sockets[0].getsockname()[1]
        names = [f"{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")]
        if self._admin_exposed:
            names += [server.admin_listen, *server.allowed_hosts]
        hosts = frozenset(name.lower().encode() for name in names)
        origins = frozenset(f"{scheme}://".encode() + it for it in hosts)
        return PagesHandler(bridge, Allowed(hosts, origins))

    def _url_of_admin(self, server: Server) -> str:
        if not self._admin_exposed:
            return f"http://localhost:{self._admin.port}"
        scheme = "http" if server.tls is None else "https"
        return f"{scheme}://{server.admin_listen}"

    async def run(self) -> None:
        """Serve until told to stop. Raises `BasculeError` when it cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reloading.ask)
        self._audit.start(loop)
        await self._stdio.start()
        await self._serving.start(self._public_sockets)
        await self._admin.start()
        timers = loop.create_task(run_timers(self._timers))
        keep_what_is_there()
        self._say_ready()
        stopping = loop.create_task(self._stopping.wait())
        ended, _ = await asyncio.wait(
            {timers, stopping}, return_when=asyncio.FIRST_COMPLETED
        )
        self._admin.stop_accepting()
        await self._serving.drain()
        await self._stdio.stop()
        self._admin.abort()
        timers.cancel()
        stopping.cancel()
        await asyncio.to_thread(self._audit.close)
        if timers in ended:
            timers.result()  # timers never end, unless by a bug

    @property
    def _timers(self) -> list[Timer]:
        return [
            *self._serving.timers,
            *self._reloading.timers,
            *self._stdio.timers,
            *self._watcher.timers,
            *self._boundaries.timers,
            Timer(TICK_SECONDS, self._tick),
        ]

    async def _tick(self) -> None:
        self._admin.expire()

    def _say_ready(self) -> None:
        ready = f"ready public={self._public_url} admin={self._admin_url}"
        print(ready, file=sys.stderr, flush=True)


def _is_encrypted(server: Server) -> bool:
    """Tell whether what is beyond loopback speaks TLS, by itself or by its proxies."""
    return server.tls is not None or bool(server.behind_proxy)


def _open_log(place: Place, loaded: Loaded) -> AuditLog:
    copies = loaded.config.audit.copies
    return AuditLog(
        place.log(),
        place.log_keys(),
        system_entropy,
        copies=tuple(Path(it.removeprefix("file:")) for it in copies),
        on_problem=lambda problem: log.error("log: %s", problem),
    )
