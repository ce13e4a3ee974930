"""Who may consent to a call of somebody's agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bascule.config.model import CallApprovalRule


@dataclass(frozen=True, slots=True)
class Human:
    """Somebody who is signed in."""

    user: str
    """`user:NAME`."""
    groups: frozenset[str]
    """`group:NAME`."""
    is_admin: bool


def deciding_rules(
    human: Human, requester: str | None, rules: Mapping[str, CallApprovalRule]
) -> frozenset[str]:
    """Give the names of the rules by which a human may decide on a call.

    `requester`: the user for whom the agent calls. Who asks is never an approver of others'
    calls for it: only `self_approval` counts. A rule that names nobody is for
    administrators.
    """
    return frozenset(name for name, rule in rules.items() if _may(human, requester, rule))


def _may(human: Human, requester: str | None, rule: CallApprovalRule) -> bool:
    if human.user == requester:
        return rule.self_approval
    if not rule.approvers and not rule.self_approval:
        return human.is_admin
    return human.user in rule.approvers or not human.groups.isdisjoint(rule.approvers)
