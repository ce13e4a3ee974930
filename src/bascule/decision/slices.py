"""Slices: for one question, only the policies that could bear on it.

Evaluation costs time for every policy in the set. A policy whose head cannot match never
applies, so leaving it out changes no answer; whatever is not known to be out stays in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bascule.decision import cedar
from bascule.decision.model import Node, Target, Uid
from bascule.decision.policy import Policy

_MAX_SLICES = 4096


@dataclass(frozen=True, slots=True)
class Slice:
    """A few policies, parsed, and what their conditions read."""

    ids: tuple[str, ...]
    handle: cedar.PolicySet
    reads_now: bool
    reads_context: bool
    reads_resource: bool


class Policies:
    """All policies in force, indexed by action and by the resource in their head."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self._index: dict[tuple[str, Uid | None], list[Policy]] = {}
        self._slices: dict[tuple[str, ...], Slice] = {}
        for policy in sorted(policies.values(), key=lambda policy: policy.id):
            for action in policy.actions:
                key = (action, policy.resource.within)
                self._index.setdefault(key, []).append(policy)

    def on(self, action: str, target: Target) -> list[Policy]:
        """Give all policies that may cover this use of the target, whoever asks."""
        return [
            policy
            for place in (None, *target.node.within)
            for policy in self._index.get((action, place), ())
            if policy.resource.covers(target.node) and _glob_covers(policy, target)
        ]

    def slice(self, policies: Iterable[Policy], principal: Node) -> Slice | None:
        """Narrow to those that may cover the principal; None if there are none.

        Equal slices are one object, so few are ever parsed.
        """
        chosen = [policy for policy in policies if policy.principal.covers(principal)]
        if not chosen:
            return None
        ids = tuple(sorted(policy.id for policy in chosen))
        known = self._slices.get(ids)
        if known is None:
            if len(self._slices) >= _MAX_SLICES:
                del self._slices[next(iter(self._slices))]
            known = self._slices[ids] = _parse(ids, chosen)
        return known


def scopes_that_permit(policies: Iterable[Policy]) -> Iterator[str]:
    """Name the token scopes whose policies are among these permits."""
    for policy in policies:
        within = policy.principal.within
        if policy.effect == "permit" and within is not None and within[0] == "Mcp::Scope":
            yield within[1]


def _glob_covers(policy: Policy, target: Target) -> bool:
    glob = policy.glob
    return glob is None or glob.matches(target.connector, target.kind, target.name)


def _parse(ids: tuple[str, ...], policies: list[Policy]) -> Slice:
    return Slice(
        ids,
        cedar.policy_set({policy.id: policy.est for policy in policies}),
        reads_now=any(policy.reads_now for policy in policies),
        reads_context=any(policy.reads_context for policy in policies),
        reads_resource=any(policy.reads_resource for policy in policies),
    )
