"""The decision: whether one MCP request may go upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bascule.decision.entries import TargetKind
from bascule.decision.evaluation import Evaluation
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Reason
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
_UNKNOWN_METHOD = Denied(Reason.UNKNOWN_METHOD)


def decide(facts: CallFacts, snapshot: Snapshot) -> Decision:
    """Decide whether one MCP request may go upstream.

    The rules stand in order; the first that denies is the answer, so a `Denied` has one
    reason and nobody downstream has to rank reasons.
    """
    if facts.connector not in snapshot.connectors:
        return _UNKNOWN_CONNECTOR

    # Without an approval nothing of a connector is there, whoever asks.
    gate = snapshot.gates[facts.connector]
    if gate is None:
        return _by_rights(facts, snapshot)
    lapsed = gate.lapsed(facts.now)
    if lapsed is not None and gate.enforces:
        return Denied(lapsed)

    # Rights first: who has none learns nothing of what was approved.
    decision = _by_rights(facts, snapshot)
    if isinstance(decision, Denied):
        return decision
    finding = lapsed or gate.deviation(facts)
    if finding is None:
        return decision
    return Denied(finding) if gate.enforces else replace(decision, finding=finding)


def _by_rights(facts: CallFacts, snapshot: Snapshot) -> Decision:
    """Decide by method, and by what user, agent and token may."""
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
