"""The decision: whether one MCP request may go upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bascule.clock import UnixTime
from bascule.decision.arguments import Checked, check_arguments
from bascule.decision.consent import with_consent
from bascule.decision.entries import TargetKind
from bascule.decision.evaluation import Evaluation, Given
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Maybe, Reason
from bascule.decision.possible import foretold
from bascule.decision.rates import RATE
from bascule.decision.snapshot import Snapshot

OPEN_METHODS = frozenset(
    (
        "initialize",
        "server/discover",
        "ping",
        "logging/setLevel",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "subscriptions/listen",
    )
)
"""Open to every valid token of the resource; what lists hold is decided name by name."""

KINDS: Mapping[str, frozenset[TargetKind]] = {
    "tools/call": frozenset(("tool",)),
    "prompts/get": frozenset(("prompt",)),
    "resources/read": frozenset(("resource",)),
    "resources/subscribe": frozenset(("resource",)),
    "resources/unsubscribe": frozenset(("resource",)),
    "completion/complete": frozenset(("prompt", "resource")),
}
"""What each method that needs a right names; a completion names what it completes."""

_OPEN = Allowed(reason=Reason.OPEN_METHOD)
_UNKNOWN_CONNECTOR = Denied(Reason.UNKNOWN_CONNECTOR)
_OUTSIDE_BOUNDARY = Denied(Reason.OUTSIDE_BOUNDARY)
_UNKNOWN_METHOD = Denied(Reason.UNKNOWN_METHOD)


def decide(facts: CallFacts, snapshot: Snapshot) -> Decision:
    """Decide whether one MCP request may go upstream.

    The rules stand in order; the first that denies is the answer, so a `Denied` has one
    reason and nobody downstream has to rank reasons.
    """
    if facts.connector not in snapshot.connectors:
        return _UNKNOWN_CONNECTOR
    if snapshot.reachable_from and snapshot.is_outside(facts.connector, facts.address):
        return _OUTSIDE_BOUNDARY

    # Without an approval nothing of a connector is there, whoever asks; nor while it is
    # closed.
    gate = snapshot.gates[facts.connector]
    lapsed = None if gate is None else gate.lapsed(facts.now)
    if gate is not None and (gate.closed or (lapsed is not None and gate.enforces)):
        return Denied(gate.shuts(facts.now) or Reason.BOUNDARY_BROKEN)

    # Rights first: who has none, whatever the arguments, learns nothing of what there is.
    decision = _by_rights(facts, snapshot)
    if isinstance(decision, Denied):
        return _of_this_call(facts, decision, snapshot)
    finding = lapsed or (None if gate is None else gate.deviation(facts))
    if finding is not None and gate is not None and gate.enforces:
        return Denied(finding)

    # Then this one call, with its arguments.
    if facts.arguments is None:
        decision = foretold(decision)
    elif facts.kind != "none":
        decision = _by_arguments(facts, facts.arguments, decision, snapshot)
        if isinstance(decision, Allowed) and decision.obligations:
            # All else allows it: last comes whether somebody has approved just this call.
            decision = with_consent(facts, decision, snapshot)

    # At last whether there are calls left: a refusal for anything else costs none.
    if facts.spent and isinstance(decision, Allowed):
        return _spent(facts.spent)
    if finding is None or isinstance(decision, Denied):
        return decision
    return replace(decision, finding=finding)


def _of_this_call(facts: CallFacts, denied: Denied, snapshot: Snapshot) -> Denied:
    """Give the reason of one call that is denied whatever its arguments are.

    Only who may make this very call is told that a scope would help, and nobody what is
    wrong with it.
    """
    if not denied.unsettled or facts.arguments is None:
        return denied
    checked = check_arguments(facts, facts.arguments, snapshot)
    if not isinstance(checked, Denied):
        found = _with_arguments(facts, checked, snapshot)
        return replace(found, detail="") if isinstance(found, Denied) else denied
    return Denied(checked.reason)


def _by_arguments(
    facts: CallFacts, arguments: Mapping[str, Any], decision: Decision, snapshot: Snapshot
) -> Decision:
    """Decide one call that its caller may make with some arguments."""
    unchecked = facts.definition is None and not snapshot.arguments.are_read
    if unchecked and isinstance(decision, Allowed):
        return decision  # neither a schema nor a policy says anything of arguments
    checked = check_arguments(facts, arguments, snapshot)
    if isinstance(checked, Denied):
        return checked
    if isinstance(decision, Maybe):
        if checked.unfit:
            return Denied(Reason.POLICY_ERROR, checked.unfit)
        decision = _with_arguments(facts, checked, snapshot)
    if not isinstance(decision, Allowed):
        return decision
    if checked.finding is not None:
        decision = replace(decision, finding=checked.finding)
    if checked.canonical is not arguments:
        decision = replace(decision, arguments=checked.canonical)
    return decision


def _spent(spent: Mapping[str, UnixTime]) -> Denied:
    until = max(spent.values())
    again = datetime.fromtimestamp(until, UTC)
    return Denied(
        Reason.LIMIT_REACHED,
        tuple(f"{RATE}{name}" for name in sorted(spent)),
        detail=f"no calls are left until {again:%Y-%m-%d %H:%M} UTC",
        until=until,
    )


def _with_arguments(facts: CallFacts, checked: Checked, snapshot: Snapshot) -> Decision:
    """Ask the policies that read arguments, or what was touched."""
    given = Given(checked.cedar, facts.touched, checked.canonical)
    evaluation = Evaluation(
        facts.principal, facts.connector, facts.method, facts.now, snapshot, given=given
    )
    if facts.kind == "none":  # such a request is asked of no policy
        return _UNKNOWN_METHOD
    return evaluation.decide(facts.kind, facts.name)[0]


def _by_rights(facts: CallFacts, snapshot: Snapshot) -> Decision:
    """Decide by method, and by what user, agent and token may with some arguments."""
    # Only methods that are known pass: one that came with a new revision may do anything.
    method, kind = facts.method, facts.kind
    kinds = KINDS.get(method)
    if kinds is None:
        if method in OPEN_METHODS or method.startswith("notifications/"):
            return _OPEN
        return _UNKNOWN_METHOD
    if kind == "none" or kind not in kinds:
        return _UNKNOWN_METHOD

    # User, agent and token must each be permitted. A memo holds what no time changes.
    key = (facts.principal, facts.connector, method, kind)
    known = snapshot.memo.names(key)
    if known is not None and (decision := known.get(facts.name)) is not None:
        return decision
    evaluation = Evaluation(facts.principal, facts.connector, method, facts.now, snapshot)
    decision, lasts = evaluation.decide(kind, facts.name)
    if lasts:
        snapshot.memo.keep(key, facts.name, decision)
    return decision
