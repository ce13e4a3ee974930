"""Callers: the principals that one request is asked of, as entities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bascule.clock import UnixTime
from bascule.decision import cedar
from bascule.decision.facts import Principal, Reason
from bascule.decision.model import Node, Uid, agent_node, token_node, user_node
from bascule.decision.policy import Policy

_MAX_CALLERS = 1024
_MAX_PAIRS = 256
_ALWAYS = UnixTime(-(1 << 62))


class Membership(NamedTuple):
    """Being in a role."""

    role: str
    until: UnixTime | None
    """The second from which on it is over; None: it stays."""


@dataclass(frozen=True, slots=True)
class Question:
    """One part of the conjunction."""

    principal: Node
    alone: bool
    """Asked for `act_alone` instead of for the use itself."""
    missing: Reason
    """The reason when nothing permits it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: every question must be answered yes, and the first no is the reason."""

    questions: tuple[Question, Question, Question]
    entities: cedar.Entities
    since: UnixTime
    until: UnixTime | None
    """While it is in these roles: from `since` on, before `until`."""
    steady: bool
    """Time alone never changes its roles."""

    def holds(self, now: UnixTime) -> bool:
        """Tell whether it is in the same roles at a moment."""
        return self.since <= now and (self.until is None or now < self.until)


class Callers:
    """Makes callers from principals, and keeps the latest."""

    def __init__(
        self, roles: Mapping[str, Sequence[Membership]], own_ceilings: Collection[str]
    ) -> None:
        self._roles = roles
        """By member: `user:…` or `group:…`."""
        self._own_ceilings = own_ceilings
        self._known: dict[Principal, Caller] = {}
        self._pairs: dict[tuple[int, Uid], tuple[Caller, Node, cedar.Entities]] = {}
        """Callers with what they have asked for lately: calls repeat."""

    @property
    def members(self) -> frozenset[str]:
        """Name all users and groups that have a role: `user:…`, `group:…`."""
        return frozenset(self._roles)

    def can_come_under(self, policy: Policy) -> bool:
        """Tell whether there may be somebody for it: no user is in a role of agents."""
        within = policy.principal.within
        if within is None or within[0] != "Mcp::Role":
            return True
        users = (it for who, it in self._roles.items() if not who.startswith("agent:"))
        return any(it.role == within[1] for found in users for it in found)

    @property
    def own_ceilings(self) -> frozenset[str]:
        """Name the agents that the default ceiling is not for."""
        return frozenset(self._own_ceilings)

    def of(self, principal: Principal, now: UnixTime) -> Caller:
        """Give the caller. Raises ValueError for names that are not well-formed."""
        known = self._known.get(principal)
        if known is None or not known.holds(now):
            if len(self._known) >= _MAX_CALLERS:
                del self._known[next(iter(self._known))]
            known = self._known[principal] = self._make(principal, now)
        return known

    def with_target(self, caller: Caller, node: Node) -> cedar.Entities:
        """Give a caller's entities with that of a target among them."""
        key = (id(caller), node.uid)
        known = self._pairs.get(key)
        if known is not None and known[0] is caller and known[1] == node:
            return known[2]
        made = cedar.with_entity(caller.entities, node.entity())
        if len(self._pairs) >= _MAX_PAIRS:
            del self._pairs[next(iter(self._pairs))]
        self._pairs[key] = caller, node, made
        return made

    def _make(self, principal: Principal, now: UnixTime) -> Caller:
        memberships = self.memberships(principal)
        ends = [it.until for it in memberships if it.until is not None]
        agent = agent_node(
            principal.agent, own_ceiling=principal.agent in self._own_ceilings
        )
        token = token_node(principal.scopes)
        if principal.user is None:
            first = Question(agent, True, Reason.NO_AGENT_RIGHT)
        else:
            roles = {it.role for it in memberships if it.until is None or now < it.until}
            user = user_node(principal, roles)
            first = Question(user, False, Reason.NO_USER_RIGHT)
        questions = (
            first,
            Question(agent, False, Reason.ABOVE_CEILING),
            Question(token, False, Reason.INSUFFICIENT_SCOPE),
        )
        nodes = {it.principal.uid: it.principal for it in questions}
        return Caller(
            questions,
            cedar.entities(node.entity() for node in nodes.values()),
            since=max((it for it in ends if it <= now), default=_ALWAYS),
            until=min((it for it in ends if it > now), default=None),
            steady=not ends,
        )

    def memberships(self, principal: Principal) -> list[Membership]:
        """Give all roles that a user is in, or was until the membership was over."""
        if principal.user is None:  # an agent is in no role: what it may is its own
            return []
        members = (principal.user, *principal.groups)
        return [it for member in members for it in self._roles.get(member, ())]
