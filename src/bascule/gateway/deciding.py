"""Steps 6 to 8 and 13 of every request: the decision, its record on disk, how it ended."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET, Struct

from bascule.audit.once import Once
from bascule.audit.writer import LogUnavailableError
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Principal, Settled
from bascule.gateway import refusal
from bascule.gateway.approval_states import Shown
from bascule.gateway.arguments import as_decided, commit_arguments
from bascule.gateway.call_approvals import Approval
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.gateway import (
    Gateway,
    OutsideError,
    RevokedError,
    UnapprovedError,
)
from bascule.gateway.journal import Entry
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.possession import require_first
from bascule.gateway.relay import Outcome
from bascule.gateway.settling import settled, settled_at_once
from bascule.gateway.shadowing import shadowed
from bascule.gateway.steps import Step
from bascule.gateway.turn import Turn
from bascule.gateway.upstream import UpstreamError
from bascule.protocol import modern
from bascule.protocol.message import MessageId, Request


class Decided(Struct, frozen=True, gc=False):
    """What was decided of a request, on its way to the disk."""

    decision: Settled
    entry: Entry
    request: Request
    """As it was decided on: what goes upstream."""
    approval: Approval | None
    """The call approval that it has, or needs."""


async def decided(
    turn: Turn,
    request: Request,
    facts: CallFacts,
    *,
    proto: str = modern.VERSION,
    shown: Shown | None = None,
) -> Decided:
    """Decide, and hand in the record that says so. Raises `LogUnavailableError`.

    `shown`: what the client shows of a call approval. Raises what `settled` does, and
    `UnprovenError`; whether a proof was shown before, `on_disk` may tell.
    """
    gateway, snapshot, once = turn.gateway, turn.snapshot, turn.work.use_proof()
    approval: Approval | None = None
    decision = settled_at_once(facts, snapshot)
    if decision is None:
        if once is not None:
            # Before approvals and calls of a rate are used up for it.
            await noted(gateway.journal.claimed(once), once)
            once = None
        settlement = await settled(gateway, request, facts, snapshot, shown)
        decision, facts, approval = settlement
    request = as_decided(request, decision)
    shadow = (
        UNSET
        if snapshot.shadow is None
        else shadowed(gateway.journal.shadowed, facts, decision, snapshot)
    )
    gate = snapshot.gates.get(facts.connector)
    args, opening = commit_arguments(
        request, keep_values=gateway.keeps_values(facts.connector)
    )
    entry = gateway.journal.decided(
        turn.caller,
        facts,
        decision,
        peer=turn.exchange.peer,
        policy_digest=snapshot.digest,
        args=args,
        opening=opening,
        proto=proto,
        mode="" if gate is None else gate.mode,
        approval="" if approval is None else approval.id,
        shadow=shadow,
        once=once,
    )
    return Decided(decision, entry, request, approval)


async def on_disk(gateway: Gateway, entry: Entry) -> None:
    """Wait for the record of a decision. Raises `LogUnavailableError`.

    An allowed call that ends here has a record that must not stay open; who is refused
    meanwhile is told the code of that record.
    """
    try:
        durable = await entry.durable
    except (ClientGoneError, RevokedError, UnapprovedError, OutsideError) as exc:
        if not entry.code:
            gateway.journal.completed(entry, Outcome(refusal.OUTCOMES[type(exc)]))
        elif isinstance(exc, UnapprovedError):
            exc.code = entry.code
        raise
    if not durable:
        require_first(entry.once)
        raise LogUnavailableError("the record could not be written")


async def noted(durable: Step[bool], once: Once | None) -> None:
    """Wait until something is noted that no decision is about.

    Raises `LogUnavailableError`, and `UnprovenError` where `once` was shown before.
    """
    if not await durable:
        require_first(once)
        raise LogUnavailableError("the record could not be written")


def may_read(
    gateway: Gateway, principal: Principal, connector: str, address: str | None, uri: object
) -> bool:
    """Tell whether somebody may hear of a resource, as of now.

    A stream may be older than the configuration.
    """
    facts = CallFacts(
        principal,
        connector,
        "resources/read",
        "resource",
        str(uri),
        gateway.clock(),
        arguments={},
        address=address,
    )
    return isinstance(decide(facts, gateway.snapshot), Allowed)


class Forwarding:
    """A request on its way upstream: records how it ends, answers for a failed upstream."""

    __slots__ = ("_client_id", "_entry", "_exchange", "_gateway", "at_end", "outcome")

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        entry: Entry,
        client_id: MessageId | None,
    ) -> None:
        """`client_id`: of the request; None when what is forwarded has none."""
        self._gateway = gateway
        self._exchange = exchange
        self._entry = entry
        self._client_id = client_id
        self.outcome = Outcome("internal_error")
        """Set by whoever relays the answer."""
        self.at_end: Callable[[], None] | None = None
        """To be called however it ends."""

    def __enter__(self) -> Forwarding:
        """Begin."""
        return self

    def __exit__(
        self, kind: object, problem: BaseException | None, traceback: object
    ) -> bool:
        """Record the outcome; a failure of the upstream is thereby dealt with."""
        failed = isinstance(problem, UpstreamError)
        if isinstance(problem, ConnectFirstError):
            # Who called is led to a page, by whoever knows the request.
            self.outcome, failed = Outcome(problem.outcome), False
        elif isinstance(problem, UpstreamError):
            self.outcome = Outcome(problem.outcome)
            refusal.upstream_failed(self._exchange, self._client_id, problem)
        elif isinstance(problem, refusal.ENDED_EARLY):
            self.outcome = Outcome(refusal.OUTCOMES[type(problem)])
        self._gateway.journal.completed(self._entry, self.outcome)
        if self.at_end is not None:
            self.at_end()
        return failed
