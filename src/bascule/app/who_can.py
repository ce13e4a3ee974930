"""Who may use what: every user, through every agent, for every tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from bascule.app.catalogue import KnownAgent, KnownUser
from bascule.clock import UnixTime
from bascule.decision.compile import BUILT_IN_SCOPE
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Principal
from bascule.decision.snapshot import Snapshot

UNKNOWN = "arguments_unknown"
"""Reason of a `maybe`."""


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
    for user in users:
        for agent in agents:
            for connector, names in tools.items():
                yield from _rights(user, agent, connector, names, snapshot, now)


def _rights(
    user: KnownUser | None,
    agent: KnownAgent,
    connector: str,
    names: Sequence[str],
    snapshot: Snapshot,
    now: UnixTime,
) -> Iterator[Right]:
    name = None if user is None else user.name
    who = (name, agent.client_id, connector)
    refused = _shut_out(user, agent) or _shut(connector, snapshot, now)
    if refused:
        yield from (Right(*who, it, "deny", refused, [refused]) for it in names)
        return
    principal = Principal(
        user=name,
        agent=agent.client_id,
        groups=frozenset() if user is None else user.groups,
        scopes=frozenset((f"{BUILT_IN_SCOPE}{connector}",)),
    )
    for batch in decide_many(principal, connector, "tool", names, now, snapshot):
        yield from (_right(who, tool, decision) for tool, decision in batch)


def _shut_out(user: KnownUser | None, agent: KnownAgent) -> str:
    if user is not None and user.disabled:
        return "user_disabled"
    return "agent_disabled" if agent.disabled else ""


def _shut(connector: str, snapshot: Snapshot, now: UnixTime) -> str:
    gate = snapshot.gates[connector]
    reason = None if gate is None else gate.shuts(now)
    return "" if reason is None else reason.value


def _right(who: tuple[str | None, str, str], tool: str, decision: Decision) -> Right:
    policies = list(decision.policies)
    match decision:
        case Allowed(reason=reason):
            return Right(*who, tool, "allow", reason.value, policies or [reason.value])
        case Maybe():
            return Right(*who, tool, "maybe", UNKNOWN, policies or [UNKNOWN])
        case Denied(reason=reason):
            return Right(*who, tool, "deny", reason.value, policies or [reason.value])
