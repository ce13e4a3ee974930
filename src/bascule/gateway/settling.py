"""From facts to what becomes of a call, with what only the state database knows."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from bascule.decision.concerns import Concern
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Denied, Maybe, Reason, Settled
from bascule.decision.snapshot import Snapshot
from bascule.gateway.approval_states import Shown
from bascule.gateway.call_approvals import Approval
from bascule.gateway.flows import concern_of, spent, with_touches
from bascule.gateway.gateway import Gateway
from bascule.gateway.outgoing import handle_binding, open_handle
from bascule.protocol.message import Request


class Settlement(NamedTuple):
    """What becomes of a call."""

    decision: Settled
    facts: CallFacts
    """With what was looked up to decide."""
    approval: Approval | None = None
    """The call approval that it has, or needs."""


def settled_at_once(facts: CallFacts, snapshot: Snapshot) -> Settled | None:
    """Decide where the state database need not be asked; None where it must.

    So are most requests decided, without a coroutine of their own.
    """
    if concern_of(facts, snapshot) is not None:
        return None
    decision = _decided(facts, snapshot)
    needs_approval = isinstance(decision, Denied) and decision.call is not None
    return None if needs_approval else decision


async def settled(
    gateway: Gateway,
    request: Request,
    facts: CallFacts,
    snapshot: Snapshot,
    shown: Shown | None,
) -> Settlement:
    """Decide, and use what may be used once.

    `shown`: what the client shows of an approval. Raises `ProtocolError` for a
    `requestState` that is not the caller's, `StateUnconfirmedError`.
    """
    concern = concern_of(facts, snapshot)
    if concern is not None:
        facts = await with_touches(gateway, facts, snapshot, concern)
    decision = _decided(facts, snapshot)
    if concern is not None and isinstance(decision, Allowed):
        decision = await _counted(gateway, facts, snapshot, concern)
    if not isinstance(decision, Denied) or decision.call is None:
        return Settlement(decision, facts)
    if gateway.approvals is None:
        return Settlement(decision, facts, Approval("not kept"))
    call = decision.call
    inner = _server_state(gateway, request, facts)
    approval = await gateway.approvals.find(facts, call, shown, inner)
    if approval.consent is None:
        return Settlement(decision, facts, approval)
    consenting = replace(facts, consent=approval.consent)
    consented = _decided(consenting, snapshot)
    if concern is not None and isinstance(consented, Allowed):
        consented = await _counted(gateway, consenting, snapshot, concern)
    if not isinstance(consented, Allowed):
        return Settlement(consented, facts)
    if await gateway.approvals.use(approval, call.binding, facts.now):
        return Settlement(consented, facts, approval)
    return Settlement(decision, facts, replace(approval, found="used", consent=None))


async def _counted(
    gateway: Gateway, facts: CallFacts, snapshot: Snapshot, concern: Concern
) -> Settled:
    """Count a call that is otherwise allowed, and decide with what was found."""
    used_up = await spent(gateway, facts, concern)
    return _decided(replace(facts, spent=used_up), snapshot)


def _decided(facts: CallFacts, snapshot: Snapshot) -> Settled:
    decision = decide(facts, snapshot)
    # Of a call everything is known.
    return Denied(Reason.POLICY_ERROR) if isinstance(decision, Maybe) else decision


def _server_state(gateway: Gateway, request: Request, facts: CallFacts) -> str | None:
    """Open the server's own state before anybody is asked, or an approval used, for it."""
    if "requestState" not in request.params:
        return None
    params = {"requestState": request.params["requestState"]}
    binding = handle_binding(facts.principal, facts.connector, facts.method)
    open_handle(params, facts.method, binding, gateway.sealer, facts.now)
    return params.get("requestState")
