"""Who may use what: every user, through every agent, for every tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from bascule.app.catalogue import KnownAgent, KnownUser
from bascule.clock import UnixTime
from bascule.decision.alike import Likenesses
from bascule.decision.compile import BUILT_IN_SCOPE
from bascule.decision.decide_many import decide_many
from bascule.decision.explain import reason_of
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Principal
from bascule.decision.snapshot import Snapshot


class Right(Struct, frozen=True):
    """`policy who-can`, a line for each user, agent and tool: what a call would be told."""

    user: str | None
    """None when the agent acts by itself."""
    agent: str
    connector: str
    tool: str
    decision: Literal["allow", "maybe", "deny"]
    """`maybe`: it depends on arguments, or on what was done before."""
    reason: str
    """As `decide` gives it; `user_disabled` and `agent_disabled` get no token at all."""
    because: list[str]
    """Policies that decide it, or the reason when none does."""


def rights(
    users: Sequence[KnownUser | None],
    agents: Sequence[KnownAgent],
    tools: Mapping[str, Sequence[str]],
    snapshot: Snapshot,
    *,
    now: UnixTime,
) -> Iterator[Right]:
    """Decide for each user and agent, in that order, for all tools, arguments unknown.

    Their token has the built-in scope of the connector, which is what clients get unless
    they ask for less.
    """
    table = _Table(tools, snapshot, now)
    for user in users:
        for agent in agents:
            name = None if user is None else user.name
            for connector, names in tools.items():
                refused = _shut_out(user, agent) or _shut(connector, snapshot, now)
                told: list[Told]
                if refused:
                    told = [("deny", refused, [refused])] * len(names)
                else:
                    told = table.answers(_principal(user, agent, connector), connector)
                for tool, (decision, reason, because) in zip(names, told, strict=True):
                    yield Right(
                        name, agent.client_id, connector, tool, decision, reason, because
                    )


Told = tuple[Literal["allow", "maybe", "deny"], str, list[str]]
"""Decision, reason, and because of what."""


class _Table:
    """Answers by principal and connector; those that nothing tells apart share theirs."""

    def __init__(
        self, tools: Mapping[str, Sequence[str]], snapshot: Snapshot, now: UnixTime
    ) -> None:
        self._tools = tools
        self._snapshot = snapshot
        self._now = now
        self._likenesses = Likenesses(snapshot)
        self._known: dict[tuple[Principal, str], list[Told]] = {}
        self._told: dict[Decision, Told] = {}

    def answers(self, principal: Principal, connector: str) -> list[Told]:
        """Give an answer for each tool of a connector, in their order."""
        key = self._likenesses.of(principal), connector
        known = self._known.get(key)
        if known is None:
            names = self._tools[connector]
            batches = decide_many(
                principal, connector, "tool", names, self._now, self._snapshot
            )
            known = self._known[key] = [
                self._tell(decision) for batch in batches for _, decision in batch
            ]
        return known

    def _tell(self, decision: Decision) -> Told:
        told = self._told.get(decision)
        if told is None:
            told = self._told[decision] = _told(decision)
        return told


def _principal(user: KnownUser | None, agent: KnownAgent, connector: str) -> Principal:
    return Principal(
        user=None if user is None else user.name,
        agent=agent.client_id,
        groups=frozenset() if user is None else user.groups,
        scopes=frozenset((f"{BUILT_IN_SCOPE}{connector}",)),
    )


def _shut_out(user: KnownUser | None, agent: KnownAgent) -> str:
    if user is not None and user.disabled:
        return "user_disabled"
    return "agent_disabled" if agent.disabled else ""


def _shut(connector: str, snapshot: Snapshot, now: UnixTime) -> str:
    gate = snapshot.gates[connector]
    reason = None if gate is None else gate.shuts(now)
    return "" if reason is None else reason.value


def _told(decision: Decision) -> Told:
    policies, reason = list(decision.policies), reason_of(decision)
    match decision:
        case Allowed():
            return "allow", reason, policies or [reason]
        case Maybe():
            return "maybe", reason, policies or [reason]
        case Denied():
            return "deny", reason, policies or [reason]
