"""`bascule up`: everything wired together, started, watched and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bascule.app import files, state
from bascule.app.admin import admin_application
from bascule.audit.log import REFUSE_SECONDS, AuditLog
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.config.rules import exposure_problems
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.errors import BasculeError
from bascule.gateway.asgi import AsgiBridge
from bascule.gateway.callers import Callers
from bascule.gateway.failures import AuthFailures
from bascule.gateway.gateway import Gateway, Upstream
from bascule.gateway.handles import Sealer
from bascule.gateway.http1 import header_block
from bascule.gateway.ingress import Allowed, allowed_for
from bascule.gateway.journal import Journal
from bascule.gateway.listener import Listener, bind
from bascule.gateway.public import PagesHandler, PublicHandler, public_application
from bascule.gateway.upstream import Endpoint, UpstreamPool
from bascule.storage import directory, key_files
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

POLL_SECONDS = 0.25
"""How often users, agents and revocations are looked at; they are in force within 2 s."""
TICK_SECONDS = 1.0
DRAIN_SECONDS = 20.0


class ExposureError(BasculeError):
    """The configuration would expose the server by accident."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration comes from, read anew on reload."""

    config_path: Path
    data_dir: Path
    read_config: Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with its policies, checked as a whole."""

    config: Config
    snapshot: Snapshot


def load(sources: Sources) -> Loaded:
    """Read and check configuration and policies. Raises `BasculeError`."""
    files.check_configuration_files(sources.config_path)
    config = sources.read_config()
    problems = exposure_problems(config)
    if problems:
        raise ExposureError("; ".join(problems))
    for name, connector in config.connectors.items():
        if connector.command is not None:
            raise BasculeError(f"connector `{name}`: stdio servers cannot be hosted by now")
    policies = files.read_policy_files(sources.config_path)
    return Loaded(config, build_snapshot(config, policies))


def upstreams(config: Config) -> dict[str, Upstream]:
    """Make the connections' side of each connector, its credential read."""
    found = {}
    for name, connector in config.connectors.items():
        assert connector.url is not None  # noqa: S101 - `load` has refused the others
        credential = b""
        if connector.credential.kind == "static" and connector.credential.value is not None:
            value = files.resolve_secret(connector.credential.value)
            if not (value and value.isascii() and value.isprintable()):
                raise BasculeError(f"connector `{name}`: its credential cannot be a header")
            credential = header_block(
                (connector.credential.header.encode(), value.encode())
            )
        endpoint = Endpoint(connector.url, tuple(config.network.private))
        pool = UpstreamPool(endpoint, config.limits)
        found[name] = Upstream(connector, pool, credential)
    return found


class Server:
    """One running `bascule up`."""

    def __init__(self, sources: Sources, loaded: Loaded, store: Store) -> None:
        self._sources = sources
        self._loaded = loaded
        self._store = store
        self._file_of_state = state.file_of_state(sources.data_dir)
        self._state_problem = ""
        config = loaded.config
        self._public_sockets = bind(config.server.listen)
        self._admin_sockets = bind(config.server.admin_listen)
        self._stopping = asyncio.Event()
        self.audit = AuditLog(
            sources.data_dir,
            state.open_inbox(sources.data_dir),
            state.keys_of_log(sources.data_dir),
            system_entropy,
            copies=tuple(Path(it.removeprefix("file:")) for it in config.audit.copies),
            on_problem=lambda problem: log.error("log: %s", problem),
        )
        self.gateway = self._make_gateway()
        self._public = Listener(
            self._public_sockets, self._public_handler(), config.limits, tls=_tls(config)
        )
        self._admin = Listener(self._admin_sockets, self._admin_handler(), config.limits)

    def _make_gateway(self) -> Gateway:
        config = self._loaded.config
        data_dir = self._sources.data_dir
        keys = key_files.load_or_create(data_dir / "keys", now=system_clock())
        return Gateway(
            snapshot=self._loaded.snapshot,
            upstreams=upstreams(config),
            limits=config.limits,
            callers=Callers(
                keys, config.server.public_url, self._store.read(directory.load)
            ),
            journal=Journal(
                self.audit.writer,
                log=self.audit.origin,
                writer="gateway",
                boot=self.audit.boot,
                entropy=system_entropy,
            ),
            failures=AuthFailures(config.limits.failed_auth_per_minute),
            sealer=Sealer(state.sealing_key(data_dir), system_entropy),
            allowed=allowed_for(config.server),
            public_url=config.server.public_url,
            clock=system_clock,
            on_crash=_crashed,
        )

    def _public_handler(self) -> PublicHandler:
        url = self._loaded.config.server.public_url
        pages = public_application(url, self._jwks, self._late)
        scheme = url.partition(":")[0]
        bridge = AsgiBridge(pages, scheme=scheme, on_crash=_crashed)
        return PublicHandler(self.gateway, PagesHandler(bridge, self.gateway.allowed))

    def _admin_handler(self) -> PagesHandler:
        pages = admin_application(self.gateway, lambda: self.audit.sequencer.lag)
        bridge = AsgiBridge(pages, scheme="http", on_crash=_crashed)
        port = self._admin_sockets[0].getsockname()[1]
        names = [f"{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")]
        listed = self._loaded.config.server.admin_listen
        hosts = frozenset(name.encode() for name in [*names, listed])
        return PagesHandler(
            bridge, Allowed(hosts, frozenset(b"http://" + it for it in hosts))
        )

    def _jwks(self) -> dict[str, object]:
        folder = self._sources.data_dir / "keys"
        return key_files.load(folder, now=system_clock()).jwks()

    def _late(self) -> list[str]:
        found = self.audit.late()
        if self.gateway.callers.state_age > 2:
            found.append("users and revocations cannot be read")
        return found

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        self.audit.start(loop)
        await self._public.start()
        await self._admin.start()
        watch = [
            loop.create_task(self._follow_state()),
            loop.create_task(self._keep_time()),
        ]
        gc.collect()
        gc.freeze()
        server = self._loaded.config.server
        admin = f"http://localhost:{self._admin.port}"
        print(
            f"ready public={server.public_url} admin={admin}", file=sys.stderr, flush=True
        )
        await self._stopping.wait()
        await self._drain()
        for task in watch:
            task.cancel()
        await asyncio.gather(*watch, return_exceptions=True)
        await asyncio.to_thread(self.audit.close)

    async def _drain(self) -> None:
        """Let what is being answered come to its end, for a while."""
        self._public.stop_accepting()
        self._admin.stop_accepting()
        for upstream in self.gateway.upstreams.values():
            upstream.pool.end_listening()
        if self.gateway.work:
            self.gateway.idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self.gateway.idle.wait()
        self._public.abort()
        self._admin.abort()
        for upstream in self.gateway.upstreams.values():
            upstream.pool.close()
        # Requests that were cut now write how they ended.
        await asyncio.sleep(0)

    async def _follow_state(self) -> None:
        """Keep the copy of users, agents and revocations current."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._refresh()
                problem = ""
            except Exception as exc:  # noqa: BLE001 - whatever it is must not end the watch
                problem = str(exc) or type(exc).__name__
            if problem not in {"", self._state_problem}:
                log.error("state, nobody is served until it is well: %s", problem)
            self._state_problem = problem
            self.gateway.end_revoked()

    async def _refresh(self) -> None:
        callers = self.gateway.callers
        current = await asyncio.to_thread(self._store.read, directory.generation)
        if state.file_of_state(self._sources.data_dir) != self._file_of_state:
            raise StateUnavailableError("the database was replaced: restart `bascule up`")
        if current < callers.generation:
            raise StateUnavailableError("the database is older: restart `bascule up`")
        if current == callers.generation:
            callers.confirm()
            return
        fresh = await asyncio.to_thread(self._store.read, directory.load)
        folder = self._sources.data_dir / "keys"
        callers.trust(key_files.load(folder, now=system_clock()))
        callers.confirm(fresh)

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._public.expire()
            self._admin.expire()
            self.gateway.tick()
            self.gateway.journal.refuses = self.audit.sequencer.lag > REFUSE_SECONDS

    def reload(self) -> None:
        """Take up a changed configuration, whole; a bad one changes nothing and is told."""
        try:
            loaded = load(self._sources)
            self._require_same_server(loaded.config)
            fresh = upstreams(loaded.config)
            self._record_reload(loaded)
        except BasculeError as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            return
        old = self.gateway.upstreams
        for name, upstream in old.items():
            if name in fresh and fresh[name].connector == upstream.connector:
                fresh[name] = upstream
            else:
                upstream.pool.retire()
        self._loaded = loaded
        self.gateway.upstreams = fresh
        self.gateway.limits = loaded.config.limits
        self.gateway.snapshot = loaded.snapshot
        log.warning("configuration reloaded, policies %s", loaded.snapshot.digest[:16])

    def _record_reload(self, loaded: Loaded) -> None:
        state.record_admin(
            self._sources.data_dir,
            "policy.reload",
            {
                "before": self.gateway.snapshot.digest,
                "after": loaded.snapshot.digest,
                "config": loaded.snapshot.config_digest,
            },
            user=None,
            agent=None,
            connector=None,
        )

    def _require_same_server(self, config: Config) -> None:
        if config.server != self._loaded.config.server:
            raise BasculeError("`[server]` has changed: restart to listen elsewhere")


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.server.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            config.server.tls.cert.removeprefix("file:"),
            config.server.tls.key.removeprefix("file:"),
        )
    except OSError as exc:
        raise BasculeError(f"`server.tls`: {exc}") from exc
    return context


def _crashed(problem: Exception) -> None:
    log.error("a request failed on a bug", exc_info=problem)


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
        await Server(sources, loaded, store).run()

    if sys.platform == "win32":
        asyncio.run(main())
        return
    import uvloop

    uvloop.run(main())
