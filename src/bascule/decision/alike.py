"""Who cannot be told apart: principals that get the same answers, whatever is asked.

A policy can tell two users or agents apart only by a name that somebody wrote down: in its
head, in a condition, among the members of a role, or as an agent with a ceiling of its own.
"""

from __future__ import annotations

from msgspec.structs import replace

from bascule.decision.facts import Principal
from bascule.decision.policy import walk
from bascule.decision.snapshot import Snapshot

ANYBODY = ""
"""In the place of a name that is written nowhere."""


class Likenesses:
    """The names that stand somewhere in a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        written: dict[str, set[str]] = {}
        for policy in snapshot.policies.by_id.values():
            for node in walk([policy.est["principal"], policy.est["conditions"]]):
                kind, name = node.get("type"), node.get("id")
                if isinstance(kind, str) and isinstance(name, str):
                    written.setdefault(kind, set()).add(name)
        users = written.get("Mcp::User", ())
        groups = written.get("Mcp::Group", ())
        self._members = frozenset(
            (
                *(f"user:{it}" for it in users),
                *(f"group:{it}" for it in groups),
                *snapshot.callers.members,
            )
        )
        self._agents = snapshot.callers.own_ceilings | written.get("Mcp::Agent", set())

    def of(self, principal: Principal) -> Principal:
        """Give what is equal for all that are answered alike: one without idle names."""
        user, agent = principal.user, principal.agent
        return replace(
            principal,
            user=user if user is None or user in self._members else ANYBODY,
            agent=agent if agent in self._agents else ANYBODY,
            groups=principal.groups & self._members,
        )
