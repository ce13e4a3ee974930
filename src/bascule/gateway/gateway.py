"""What the data path of one process works with, and the requests it is at."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from bascule.clock import Clock, monotonic
from bascule.config.model import Connector, Limits
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError
from bascule.gateway.callers import Caller, Callers
from bascule.gateway.failures import AuthFailures
from bascule.gateway.handles import Sealer
from bascule.gateway.http1 import Exchange, Headers
from bascule.gateway.ingress import Allowed
from bascule.gateway.journal import Journal
from bascule.gateway.sse import KEEP_ALIVE
from bascule.gateway.steps import Run
from bascule.gateway.upstream import UpstreamPool

QUIET_SECONDS = 15.0
"""A stream is sent a comment after this much silence, so that nothing between closes it."""


class RevokedError(Exception):
    """The caller's token expired or was revoked while its request was open."""


class TooManyRequestsError(BasculeError):
    """The caller has as many unfinished requests as it may."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One connector as the data path sees it."""

    connector: Connector
    pool: UpstreamPool
    credential: Headers = field(repr=False)
    """The connector's own credential; the client's token never goes upstream."""


@dataclass(slots=True)
class Work:
    """A request that is being answered."""

    exchange: Exchange
    caller: Caller | None = None
    """Set once the token is verified."""


@dataclass(slots=True)
class Gateway:
    """State of the data path; one per process, used on its event loop only."""

    snapshot: Snapshot
    """Replaced whole on reload."""
    upstreams: Mapping[str, Upstream]
    limits: Limits
    callers: Callers
    journal: Journal
    failures: AuthFailures
    sealer: Sealer
    allowed: Allowed
    public_url: str
    clock: Clock
    on_crash: Callable[[Exception], None]
    ids: count[int] = field(default_factory=lambda: count(1))
    """JSON-RPC ids towards upstreams: never the same twice in a process."""
    work: dict[Run, Work] = field(default_factory=dict)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last open request ends; looked at when draining only."""
    in_flight: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    """Unfinished requests by user and agent."""

    def admit(self, work: Work, caller: Caller) -> None:
        """Count a request for its caller. Raises `TooManyRequestsError`."""
        if self.in_flight[caller.identity] >= self.limits.in_flight:
            raise TooManyRequestsError("too many unfinished requests")
        self.in_flight[caller.identity] += 1
        work.caller = caller

    def keeps_values(self, connector: str) -> bool:
        """Tell whether the values of arguments are kept, encrypted, for a connector."""
        upstream = self.upstreams.get(connector)
        return upstream is not None and upstream.connector.record_values

    def finish(self, run: Run, work: Work) -> None:
        """Forget a request that has ended."""
        self.work.pop(run, None)
        if not self.work:
            self.idle.set()
        if work.caller is None:
            return
        identity = work.caller.identity
        self.in_flight[identity] -= 1
        if not self.in_flight[identity]:
            del self.in_flight[identity]

    def end_revoked(self) -> None:
        """Close what is open for callers that are no longer valid."""
        now = self.clock()
        stale = self.callers.state_age
        for run, work in list(self.work.items()):
            if work.caller is None:
                continue
            if stale > 2 or not self.callers.still_valid(work.caller, now):
                run.throw(RevokedError())

    def tick(self) -> None:
        """Keep time: upstream time-outs and quiet streams; called about once a second."""
        now = monotonic()
        for upstream in self.upstreams.values():
            upstream.pool.expire(now)
        for work in list(self.work.values()):
            exchange = work.exchange
            if exchange.streaming and now - exchange.last_sent > QUIET_SECONDS:
                exchange.send_chunk(KEEP_ALIVE)
        counted = self.failures.unrecorded()
        if counted:
            self.journal.authentication_failures_counted(counted)
        self.end_revoked()
