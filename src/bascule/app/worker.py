"""A worker: the public listener of one process and all that answers there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from bascule.app import linking, logins
from bascule.app.call_approval_clock import LOOK_SECONDS, CallApprovalClock
from bascule.app.counts import Counts, counts_of
from bascule.app.descriptors import possible_connections
from bascule.app.follow import POLL_SECONDS, Follower
from bascule.app.issuer_keys import IssuerKeyReader
from bascule.app.load import Loaded
from bascule.app.page_records import PageRecords
from bascule.app.pages import PageParts, public_pages
from bascule.app.place import Place
from bascule.app.timers import Timer
from bascule.app.upstreams import keep_unchanged, upstreams
from bascule.audit.log import GATEWAY_WRITER, REFUSE_SECONDS
from bascule.audit.writer import Writer
from bascule.clock import system_clock, system_entropy
from bascule.config.model import Config
from bascule.decision.snapshot import Gates, Grants, with_gates, with_grants
from bascule.errors import BasculeError
from bascule.gateway.asgi import AsgiBridge
from bascule.gateway.call_approvals import CallApprovals
from bascule.gateway.callers import Callers
from bascule.gateway.drawn_calls import DrawnCalls
from bascule.gateway.failures import AuthFailures
from bascule.gateway.gateway import Gateway, Upstream
from bascule.gateway.handles import Sealer
from bascule.gateway.ingress import allowed_for
from bascule.gateway.issuers import Issuers
from bascule.gateway.journal import Journal
from bascule.gateway.listener import Listener
from bascule.gateway.possession import Demands
from bascule.gateway.proxies import Proxies
from bascule.gateway.public import PagesHandler, PublicHandler
from bascule.gateway.sessions import Sessions
from bascule.gateway.touches import Touches
from bascule.identity.nonces import Nonces
from bascule.storage import directory, key_files
from bascule.storage.private_files import refuse_readable_by_others
from bascule.storage.sealed_arguments import arguments_key

log = logging.getLogger("bascule")

TICK_SECONDS = 1.0
DRAIN_SECONDS = 20.0
STATE_SECONDS = 2.0
"""Age of the copy of users and revocations from which the process is not ready."""


@dataclass(frozen=True, slots=True)
class Recording:
    """How a worker writes records, and what it must know of those that wait."""

    writer: Writer
    origin: str
    boot: str
    lag: Callable[[], float]
    """Seconds that the oldest record has waited to be taken into the tree."""
    late: Callable[[], list[str]]
    """Says what is late with the log, one sentence each."""


class Worker:
    """Serves the public listener; used on the event loop of its process only."""

    def __init__(self, place: Place, loaded: Loaded, recording: Recording) -> None:
        self._place = place
        self._loaded = loaded
        self._fresh: tuple[Loaded, dict[str, Upstream]] | None = None
        self._recording = recording
        self._listener: Listener | None = None
        self._told: list[str] = []
        """What was said last to be late with the log."""
        self.gateway = _gateway(place, loaded, recording)
        self._follower = Follower(self.gateway, place)
        records = PageRecords(
            recording.writer,
            self.gateway.failures,
            log=recording.origin,
            writer=GATEWAY_WRITER,
            boot=recording.boot,
        )
        self._issuer_keys = IssuerKeyReader(
            self.gateway.callers, records, place.secrets(loaded.config.vault)
        )
        self._issuer_keys.configure(loaded.config)
        self._approval_clock = CallApprovalClock(place.open_state(), records, system_clock)
        self._ended_accounts = linking.ended_accounts(lambda: self._loaded.config, place)
        self._ended_logins = logins.ended_logins(lambda: self._loaded.config, place)
        self._tidy_logins = partial(logins.tidy_logins, place.open_state())
        parts = PageParts(
            config=lambda: self._loaded.config,
            place=place,
            keys=lambda: self.gateway.callers.keys,
            records=records,
            late=self._late,
            policy_digest=lambda: self.gateway.snapshot.rights_digest,
            heard=self._follower.heard,
        )
        pages = public_pages(parts)
        scheme = loaded.config.server.public_url.partition(":")[0]
        bridge = AsgiBridge(pages, scheme=scheme, on_crash=crashed)
        self._handler = PublicHandler(
            self.gateway, PagesHandler(bridge, self.gateway.allowed)
        )

    @property
    def timers(self) -> list[Timer]:
        """Give what must run while it serves."""
        return [
            Timer(POLL_SECONDS, self._follower.follow),
            Timer(TICK_SECONDS, self._tick),
            Timer(TICK_SECONDS, self._issuer_keys.read_due),
            Timer(LOOK_SECONDS, self._approval_clock.look),
            Timer(linking.LOOK_SECONDS, self._ended_accounts.look),
            Timer(linking.LOOK_SECONDS, self._ended_logins.look),
            Timer(logins.TIDY_SECONDS, self._tidy_logins),
        ]

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on bound sockets from now on."""
        config = self._loaded.config
        most = possible_connections(config.limits.connections)
        self._listener = Listener(
            sockets,
            self._handler,
            replace(config.limits, connections=most),
            tls=tls_context(config),
            proxies=proxies_of(config),
        )
        await self._issuer_keys.start()
        await self._listener.start()

    async def prepare(self, loaded: Loaded) -> None:
        """Make all that a new configuration needs, and change nothing yet.

        Raises `BasculeError`.
        """
        self._fresh = (
            loaded,
            upstreams(loaded.config, self._place, self.gateway.callers),
        )

    def commit(self) -> None:
        """Put what was prepared into force, all at once."""
        assert self._fresh is not None  # noqa: S101 - only after `prepare`
        (loaded, fresh), self._fresh = self._fresh, None
        self._loaded = loaded
        self.gateway.adopt(loaded.snapshot)  # while upstreams are still those of before
        kept, retired = keep_unchanged(self.gateway.upstreams, fresh)
        self.gateway.upstreams = kept
        self.gateway.retired += retired
        self.gateway.limits = loaded.config.limits
        self.gateway.demands = demands_of(self.gateway.demands.nonces, loaded.config)
        self._issuer_keys.configure(loaded.config)

    def approve(self, gates: Gates) -> None:
        """Put into force what is approved; what is open and no longer may be is cut."""
        self.gateway.adopt(with_gates(self.gateway.snapshot, gates))

    def grant(self, grants: Grants) -> None:
        """Put into force who was granted what beside the configuration."""
        self.gateway.adopt(with_grants(self.gateway.snapshot, grants))

    def counts(self) -> Counts:
        """Give the counters of this process."""
        return counts_of(self.gateway)

    async def drain(self) -> None:
        """Let what is being answered come to its end, for a while, then cut it."""
        listener = self._listener
        if listener is None:
            return
        listener.stop_accepting()
        for pool in self.gateway.pools:
            pool.end_listening()
        if self.gateway.approvals is not None:
            self.gateway.approvals.stop_waiting()
        if self.gateway.work:
            self.gateway.idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self.gateway.idle.wait()
        listener.abort()
        for pool in self.gateway.pools:
            pool.close()
        # Requests that were cut now write how they ended.
        await asyncio.sleep(0)

    def _late(self) -> list[str]:
        """Say to strangers what is late: paths and addresses are for the operator alone."""
        found = ["the log is late or cannot be written"] if self._recording.late() else []
        if self.gateway.callers.state_age > STATE_SECONDS:
            found.append("users and revocations cannot be read")
        return found

    async def _tick(self) -> None:
        if self._listener is not None:
            self._listener.expire()
        self.gateway.tick()
        self.gateway.journal.refuses = self._recording.lag() > REFUSE_SECONDS
        self._tell_late()

    def _tell_late(self) -> None:
        """Tell the operator why the log is late, each time that changes."""
        late = self._recording.late()
        for sentence in late:
            if sentence not in self._told:
                log.error("log: %s", sentence)
        self._told = late


def _gateway(place: Place, loaded: Loaded, recording: Recording) -> Gateway:
    config = loaded.config
    keys = key_files.load_or_create(place.keys, now=system_clock())
    sealing_key, state = place.sealing_key(), place.open_state()
    sealer = Sealer(sealing_key, system_entropy)
    known = state.read(directory.load)
    callers = Callers(keys, config.server.public_url, known, Issuers())
    return Gateway(
        snapshot=loaded.snapshot,
        upstreams=upstreams(config, place, callers),
        limits=config.limits,
        callers=callers,
        journal=Journal(
            recording.writer,
            log=recording.origin,
            writer=GATEWAY_WRITER,
            boot=recording.boot,
            entropy=system_entropy,
        ),
        failures=AuthFailures(config.limits.failed_auth_per_minute),
        sealer=sealer,
        sessions=Sessions(sealer, system_entropy),
        touches=Touches(state),
        drawn=DrawnCalls(state),
        allowed=allowed_for(config.server),
        public_url=config.server.public_url,
        clock=system_clock,
        on_crash=crashed,
        demands=demands_of(place.nonces(), config),
        approvals=CallApprovals(state, arguments_key(sealing_key), system_entropy),
    )


def demands_of(nonces: Nonces, config: Config) -> Demands:
    """Give what is demanded beside tokens."""
    return Demands(nonces, config.dpop.nonce, config.agents.require)


def proxies_of(config: Config) -> Proxies | None:
    """Give the proxies that alone may connect; None when clients do so themselves."""
    networks = config.server.behind_proxy
    return Proxies(networks) if networks else None


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Make the TLS context of a listener. Raises `BasculeError`."""
    if config.server.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key = Path(config.server.tls.key.removeprefix("file:"))
    try:
        refuse_readable_by_others(key)
        context.load_cert_chain(config.server.tls.cert.removeprefix("file:"), key)
        if config.server.tls.client_ca is not None:
            context.load_verify_locations(config.server.tls.client_ca.removeprefix("file:"))
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as exc:
        raise BasculeError(f"`server.tls`: {exc}") from exc
    return context


def crashed(problem: Exception) -> None:
    """Tell a bug that ended a request."""
    log.error("a request failed on a bug", exc_info=problem)
