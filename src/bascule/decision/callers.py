"""Callers: the principals that one request is asked of, as entities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bascule.decision import cedar
from bascule.decision.facts import Principal, Reason
from bascule.decision.model import Node, agent_node, token_node, user_node

_MAX_CALLERS = 1024


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


class Callers:
    """Makes callers from principals, and keeps the latest."""

    def __init__(
        self, roles: Mapping[str, Sequence[str]], own_ceilings: Collection[str]
    ) -> None:
        self._roles = roles
        """By member: `user:…` or `group:…`."""
        self._own_ceilings = own_ceilings
        self._known: dict[Principal, Caller] = {}

    def of(self, principal: Principal) -> Caller:
        """Give the caller. Raises ValueError for names that are not well-formed."""
        known = self._known.get(principal)
        if known is None:
            if len(self._known) >= _MAX_CALLERS:
                del self._known[next(iter(self._known))]
            known = self._known[principal] = self._make(principal)
        return known

    def _make(self, principal: Principal) -> Caller:
        agent = agent_node(
            principal.agent, own_ceiling=principal.agent in self._own_ceilings
        )
        token = token_node(principal.scopes)
        if principal.user is None:
            first = Question(agent, True, Reason.NO_AGENT_RIGHT)
        else:
            user = user_node(principal, self._roles_of(principal))
            first = Question(user, False, Reason.NO_USER_RIGHT)
        questions = (
            first,
            Question(agent, False, Reason.ABOVE_CEILING),
            Question(token, False, Reason.INSUFFICIENT_SCOPE),
        )
        nodes = {it.principal.uid: it.principal for it in questions}
        return Caller(questions, cedar.entities(node.entity() for node in nodes.values()))

    def _roles_of(self, principal: Principal) -> set[str]:
        members = (principal.user or "", *principal.groups)
        return {role for member in members for role in self._roles.get(member, ())}
