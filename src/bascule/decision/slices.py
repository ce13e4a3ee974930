"""Slices: for one question, only the policies that could bear on it.

Evaluation costs time for every policy in the set. A policy whose head cannot match never
applies, so leaving it out changes no answer; whatever is not known to be out stays in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from bascule.decision import cedar
from bascule.decision.formulas import UNKNOWN
from bascule.decision.model import Node, Target, Uid
from bascule.decision.open_policies import OpenPolicies
from bascule.decision.policy import Policy

_MAX_SLICES = 1024
_SCOPE = "Mcp::Scope"
_NOTHING: Mapping[Uid | None, list[Policy]] = {}
_UNKNOWN_READS = frozenset(("context", *(f"context.{name}" for name in UNKNOWN)))


@dataclass(frozen=True)
class Slice:
    """A few policies whose heads match one question."""

    policies: tuple[Policy, ...]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Their ids; those of two slices of one shape correspond."""
        return tuple(policy.id for policy in self.policies)

    @cached_property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """What the answer depends on: effects, and the policies that say more than that.

        The heads match already, so slices of one shape differ in nothing but names.
        """
        return tuple(
            (it.effect, it.id if it.is_open or it.obligation else "")
            for it in self.policies
        )

    @cached_property
    def reads(self) -> frozenset[str]:
        """Name what open conditions read: `principal`, `resource`, `context.now`, …."""
        return frozenset(
            name for policy in self.policies if policy.is_open for name in policy.reads
        )

    @cached_property
    def reads_now(self) -> bool:
        """Whether the answer may change with time alone."""
        return "context.now" in self.reads or "context" in self.reads

    @cached_property
    def reads_context(self) -> bool:
        """Whether it needs the request's context at all."""
        return any(name.startswith("context") for name in self.reads)

    @cached_property
    def reads_arguments(self) -> bool:
        """Whether the answer may depend on the arguments of a call."""
        return "context.args" in self.reads or "context" in self.reads

    @cached_property
    def reads_touched(self) -> bool:
        """Whether the answer may depend on what the identity has touched."""
        return "context.touched" in self.reads or "context" in self.reads

    @cached_property
    def without_unknown(self) -> Slice:
        """Those of the policies that read neither arguments nor what was touched."""
        return Slice(tuple(it for it in self.policies if not _reads_unknown(it)))

    @cached_property
    def unknown(self) -> OpenPolicies:
        """The others."""
        return OpenPolicies(tuple(it for it in self.policies if _reads_unknown(it)))

    @cached_property
    def obliging(self) -> Mapping[str, str]:
        """Give the rule of call approval by the id of the policy that demands it."""
        found = ((policy.id, policy.approval_rule) for policy in self.policies)
        return {name: rule for name, rule in found if rule is not None}

    @cached_property
    def without_obliging_forbids(self) -> Slice:
        """Those that count once every approval is there."""
        return Slice(
            tuple(
                it
                for it in self.policies
                if it.effect == "permit" or it.id not in self.obliging
            )
        )

    @cached_property
    def arguments(self) -> frozenset[str]:
        """Name the arguments that open conditions read; `*` for all of them."""
        return frozenset(name for policy in self.policies for name in policy.arguments)

    @cached_property
    def handle(self) -> cedar.PolicySet:
        """The policies, parsed on first use."""
        return cedar.policy_set({policy.id: policy.est for policy in self.policies})


class Policies:
    """All policies in force, indexed by action, and by resource and principal in the head.

    By the principal too, since grants are many, and each is for somebody else.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._index: dict[tuple[str, Uid | None], dict[Uid | None, list[Policy]]] = {}
        self._scopes: dict[tuple[str, Uid | None], list[Policy]] = {}
        """Permits to tokens of a scope."""
        self._slices: dict[tuple[str, ...], Slice] = {}
        self.by_id: dict[str, Policy] = {}
        self._add(policies)

    def plus(self, more: Iterable[Policy]) -> Policies:
        """Give all of these and more; no two may have one id.

        What was parsed of these need not be parsed again.
        """
        made = Policies(())
        made._index = {
            key: {who: list(them) for who, them in found.items()}
            for key, found in self._index.items()
        }
        made._scopes = {key: list(found) for key, found in self._scopes.items()}
        made._slices = dict(self._slices)
        made.by_id = dict(self.by_id)
        made._add(more)
        return made

    def _add(self, policies: Iterable[Policy]) -> None:
        for policy in policies:
            self.by_id[policy.id] = policy
            who = policy.principal.within
            for action in policy.actions:
                key = (action, policy.resource.within)
                self._index.setdefault(key, {}).setdefault(who, []).append(policy)
                if policy.effect == "permit" and who is not None and who[0] == _SCOPE:
                    self._scopes.setdefault(key, []).append(policy)

    def on(self, action: str, target: Target) -> list[Policy]:
        """Give all policies that may cover this use of the target, whoever asks."""
        return [
            policy
            for place in (None, *target.node.within)
            for found in self._index.get((action, place), _NOTHING).values()
            for policy in found
            if _covers(policy, target)
        ]

    def scopes(self, action: str, target: Target) -> frozenset[str]:
        """Name the token scopes that permit this use of the target."""
        return frozenset(
            policy.principal.within[1]
            for place in (None, *target.node.within)
            for policy in self._scopes.get((action, place), ())
            if policy.principal.within is not None and _covers(policy, target)
        )

    def slice(self, action: str, target: Target, principal: Node) -> Slice | None:
        """Narrow to those that may cover this use by the principal; None for none.

        Equal slices are one object, so few are ever parsed.
        """
        chosen = [
            policy
            for place in (None, *target.node.within)
            for policy in _of(self._index.get((action, place), _NOTHING), principal)
            if policy.principal.covers(principal) and _covers(policy, target)
        ]
        if not chosen:
            return None
        chosen.sort(key=_order)
        ids = tuple(policy.id for policy in chosen)
        known = self._slices.get(ids)
        if known is None:
            if len(self._slices) >= _MAX_SLICES:
                del self._slices[next(iter(self._slices))]
            known = self._slices[ids] = Slice(tuple(chosen))
        return known


def _of(found: Mapping[Uid | None, list[Policy]], principal: Node) -> Iterator[Policy]:
    """Give the policies for a principal, for what it is in, or for all."""
    for who in (None, *principal.within):
        yield from found.get(who, ())


def _covers(policy: Policy, target: Target) -> bool:
    glob = policy.glob
    return policy.resource.covers(target.node) and (
        glob is None or glob.matches(target.connector, target.kind, target.name)
    )


def _reads_unknown(policy: Policy) -> bool:
    return policy.is_open and not policy.reads.isdisjoint(_UNKNOWN_READS)


def _order(policy: Policy) -> tuple[str, str, str]:
    return (policy.effect, policy.id if policy.is_open else "", policy.id)
