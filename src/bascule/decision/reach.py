"""Approved tools that nobody can use, whatever the arguments: in vain, or by plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.policy import Policy
from bascule.decision.snapshot import Snapshot
from bascule.decision.written import approved_names

_PRINCIPALS = ("Mcp::User", "Mcp::Agent", "Mcp::Token")


def unreachable_tools(snapshot: Snapshot) -> list[str]:
    """Give `CONNECTOR/TOOL` of each, in order.

    Conditions are taken to hold where they permit, and not to where they forbid.
    """
    return list(_unreachable(snapshot))


def _unreachable(snapshot: Snapshot) -> Iterator[str]:
    for connector in sorted(snapshot.connectors):
        for name in sorted(approved_names(snapshot.gates, connector, "tools") or ()):
            target = snapshot.target(connector, "tool", name)
            if not _is_reachable(snapshot, target):
                yield f"{connector}/{name}"


def _is_reachable(snapshot: Snapshot, target: Target) -> bool:
    use = [
        it
        for it in snapshot.policies.on(USE_ACTIONS["tool"], target)
        if snapshot.callers.can_come_under(it)
    ]
    alone = snapshot.policies.on(ACT_ALONE, target)
    by_somebody = _permitted(use, "Mcp::User") or _permitted(alone, "Mcp::Agent")
    return by_somebody and all(_permitted(use, kind) for kind in _PRINCIPALS[1:])


def _permitted(policies: Sequence[Policy], kind: str) -> bool:
    """Tell whether some principal of a kind may be permitted."""
    mine = [it for it in policies if it.principal.type in {None, kind}]
    if any(_forbids_all(it) for it in mine):
        return False
    return any(it.effect == "permit" and _may_be(it, kind) for it in mine)


def _forbids_all(policy: Policy) -> bool:
    whole = policy.effect == "forbid" and policy.principal.within is None
    return whole and not policy.is_open and policy.obligation is None


def _may_be(policy: Policy, kind: str) -> bool:
    """Tell whether its head may be of a principal of a kind."""
    within = policy.principal.within
    others = {it for it in _PRINCIPALS if it != kind}
    return within is None or within[0] not in others
