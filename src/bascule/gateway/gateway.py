"""What the data path of one process works with, and the requests it is at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bascule.audit.once import Once
from bascule.clock import Clock, monotonic
from bascule.config.model import Connector, Limits
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError
from bascule.gateway import answers
from bascule.gateway.call_approvals import CallApprovals
from bascule.gateway.callers import CONFIRM_SECONDS, Caller, Callers
from bascule.gateway.credentials import Credential
from bascule.gateway.definitions import Definitions
from bascule.gateway.drawn_calls import DrawnCalls
from bascule.gateway.drifted_texts import DriftedTexts
from bascule.gateway.eras import Eras
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.failures import AuthFailures
from bascule.gateway.handles import Sealer
from bascule.gateway.host_counts import HostCounts
from bascule.gateway.ingress import Allowed
from bascule.gateway.journal import Journal
from bascule.gateway.lists import SeenLists
from bascule.gateway.possession import Demands, once_of
from bascule.gateway.sessions import Held, Sessions, is_revoked
from bascule.gateway.steps import Run
from bascule.gateway.touches import Touches
from bascule.gateway.upstream import UpstreamPool
from bascule.identity.dpop import Proof
from bascule.protocol.message import Error
from bascule.protocol.sse import KEEP_ALIVE

QUIET_SECONDS = 15.0
"""A stream is sent a comment after this much silence, so that nothing between closes it."""


class RevokedError(Exception):
    """The caller's token expired or was revoked while its request was open."""


class UnapprovedError(Exception):
    """The connector is not approved, or not any more while a request was open."""

    def __init__(self, connector: str, reason: Reason, code: str = "") -> None:
        super().__init__(reason.value)
        self.connector = connector
        self.reason = reason
        self.code = code
        """Of the record of the refusal; empty when none was written."""


class OutsideError(Exception):
    """Since its request began, the connector is not for clients from there any more."""


class TooManyRequestsError(BasculeError):
    """The caller has as many unfinished requests as it may."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """One connector as the data path sees it."""

    connector: Connector
    pool: UpstreamPool
    credential: Credential
    """What it is shown; the client's token never goes upstream."""
    eras: Eras = field(default_factory=Eras)
    """What it was found to speak."""
    definitions: Definitions = field(default_factory=Definitions)
    """What it was last seen to serve."""
    lists: SeenLists = field(default_factory=SeenLists)


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
    sessions: Sessions
    touches: Touches
    """What identities have touched."""
    demands: Demands
    """What must be shown beside tokens; replaced on reload."""
    drawn: DrawnCalls
    """Calls of rates."""
    allowed: Allowed
    public_url: str
    clock: Clock
    on_crash: Callable[[Exception], None]
    ids: count[int] = field(default_factory=lambda: count(1))
    """JSON-RPC ids towards upstreams: never the same twice in a process."""
    work: set[Work] = field(default_factory=set)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last open request ends; looked at when draining only."""
    in_flight: dict[str, int] = field(default_factory=dict)
    """Unfinished requests by user and agent, in this process."""
    approvals: CallApprovals | None = None
    """Where calls are approved; None where no call can be."""
    texts: DriftedTexts = field(default_factory=DriftedTexts)
    """Reads definitions that nobody approved."""
    host: HostCounts | None = None
    """Those of the other workers of this host, where there are any."""
    retired: list[UpstreamPool] = field(default_factory=list)
    """Pools that a reload replaced, as long as calls may go on there."""

    @property
    def pools(self) -> list[UpstreamPool]:
        """All connections to upstreams."""
        return [*(it.pool for it in self.upstreams.values()), *self.retired]

    def admit(self, work: Work, caller: Caller) -> None:
        """Count a request for its caller. Raises `TooManyRequestsError`."""
        unfinished = self.in_flight.get(caller.identity, 0)
        if unfinished >= self.limits.in_flight:
            raise TooManyRequestsError("too many unfinished requests")
        if self.host is not None:
            slot = self.host.slot(caller.identity)
            if unfinished + self.host.elsewhere(slot) >= self.limits.in_flight:
                raise TooManyRequestsError("too many unfinished requests")
            self.host.add(slot, 1)
        self.in_flight[caller.identity] = unfinished + 1
        work.caller = caller

    def keeps_values(self, connector: str) -> bool:
        """Tell whether the values of arguments are kept, encrypted, for a connector."""
        upstream = self.upstreams.get(connector)
        return upstream is not None and upstream.connector.record_values

    def finish(self, work: Work) -> None:
        """Forget a request that has ended."""
        self.work.discard(work)
        if not self.work:
            self.idle.set()
        if work.caller is None:
            return
        identity = work.caller.identity
        if self.host is not None:
            self.host.add(self.host.slot(identity), -1)
        self.in_flight[identity] -= 1
        if not self.in_flight[identity]:
            del self.in_flight[identity]

    def adopt(self, snapshot: Snapshot) -> None:
        """Decide by another snapshot from now on.

        Streams that clients listen on are ended where another surface was approved: what
        comes on them was to be compared with the one before.
        """
        before, self.snapshot = self.snapshot, snapshot
        for name, upstream in self.upstreams.items():
            if _compares(before.gates.get(name)) != _compares(snapshot.gates.get(name)):
                upstream.pool.end_listening()
        self._end_outside(before)
        self.end_invalid()

    def _end_outside(self, before: Snapshot) -> None:
        """Close what is open for clients that are outside of a boundary by now.

        Who was outside before is being refused, and is to have that answer.
        """
        for work in list(self.work):
            if work.caller is None:
                continue
            where = work.caller.connector, work.exchange.peer
            if self.snapshot.is_outside(*where) and not before.is_outside(*where):
                work.interrupt(OutsideError())

    def end_invalid(self) -> None:
        """Close what is open for callers, and at connectors, that are no longer valid."""
        now = self.clock()
        stale = self.callers.state_age
        for work in list(self.work):
            if work.caller is None:
                continue
            valid = stale <= CONFIRM_SECONDS and self.callers.still_valid(work.caller, now)
            ended = work.held is not None and is_revoked(work.held, self.callers)
            if ended or not valid:
                work.interrupt(RevokedError())
                continue
            connector = work.caller.connector
            gate = self.snapshot.gates.get(connector)
            shut = None if gate is None else gate.shuts(now)
            if shut is not None:
                work.interrupt(UnapprovedError(connector, shut))

    def tick(self) -> None:
        """Keep time: upstream time-outs and quiet streams; called about once a second."""
        now = monotonic()
        for pool in self.pools:
            pool.expire(now)
        self.retired = [pool for pool in self.retired if not pool.over]
        for work in list(self.work):
            exchange = work.exchange
            if exchange.streaming and now - exchange.last_sent > QUIET_SECONDS:
                exchange.send_chunk(KEEP_ALIVE)
        counted = self.failures.unrecorded()
        if counted:
            self.journal.authentication_failures_counted(counted)
        self.end_invalid()


def _compares(gate: Gate | None) -> tuple[str, str] | None:
    return None if gate is None else (gate.entry, gate.mode)


class Work:
    """A request that is being answered."""

    __slots__ = ("_gateway", "_run", "caller", "exchange", "held", "proof")

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self._gateway = gateway
        self._run: Run | None = None
        self.exchange = exchange
        self.caller: Caller | None = None
        """Set once the token is verified."""
        self.held: Held | None = None
        """Session that the request belongs to, where the revision has sessions."""
        self.proof: Proof | None = None
        """What shows that the token is its holder's, where it is bound to a key."""

    def start(self, answering: Coroutine[Any, None, None]) -> None:
        """Begin to answer."""
        self._gateway.work.add(self)
        self.exchange.on_gone = self.client_gone
        run = Run(answering, self)
        if not run.finished:
            self._run = run

    def use_proof(self) -> Once | None:
        """Give what is to be noted of the proof, for the first of its records alone."""
        proof, self.proof = self.proof, None
        return None if proof is None else once_of(proof)

    def interrupt(self, problem: Exception) -> None:
        """Raise `problem` where the answering waits."""
        if self._run is not None:
            self._run.throw(problem)

    def client_gone(self) -> None:
        """The client has closed its connection."""
        self.interrupt(ClientGoneError())

    def crashed(self, problem: Exception) -> None:
        """A bug ended the answering: nothing of it reaches the client."""
        self._gateway.on_crash(problem)
        if self.exchange.streaming:
            self.exchange.abort()
        elif not self.exchange.answered:
            answers.error(self.exchange, 500, None, Error(500, "internal error"))

    def ended(self) -> None:
        """The answering is over."""
        self._gateway.finish(self)
        # These refer back to here: without them nothing is left for the garbage collector.
        self._run = None
        self.exchange.on_gone = None
