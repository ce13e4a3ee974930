"""What was used: by whom, through which agent, and by which rights of now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from bascule.app.recorded import Recorded
from bascule.clock import UnixTime
from bascule.decision.cells import Asked
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Denied
from bascule.decision.snapshot import Snapshot

_ROLE = "role:"


@dataclass(slots=True)
class Usage:
    """Allowed calls, those of a window apart from those before it."""

    calls: int = 0
    """In the window, and allowed by the rights of now."""
    policies: set[str] = field(default_factory=set)
    """That permitted some of them."""
    roles: dict[tuple[str, Asked], set[str]] = field(default_factory=dict)
    """Roles that allow it now, by who used what; `agent:…` for an agent by itself."""
    agents: dict[str, set[Asked]] = field(default_factory=dict)
    """What was used through each agent."""
    facts: dict[tuple[str, str, Asked], CallFacts] = field(default_factory=dict)
    """One call of each kind."""
    before: dict[tuple[str, str, Asked], UnixTime] = field(default_factory=dict)
    """When something was used last before the window: by whom, through which agent."""

    def note(self, call: Recorded, live: Snapshot, *, recent: bool) -> None:
        """Take in one allowed call; `recent`: it was in the window.

        It counts for the policies that allow it now, whatever they were called then.
        """
        facts = replace(call.facts, arguments=None, touched=frozenset())
        if facts.kind == "none":
            return
        asked, agent = Asked(facts.connector, facts.kind, facts.name), facts.principal.agent
        who = facts.principal.user or f"agent:{agent}"
        if not recent:
            self.before[who, agent, asked] = facts.now
            return
        decision = decide(facts, live)
        if isinstance(decision, Denied):
            return
        self.calls += 1
        self.facts.setdefault((who, agent, asked), facts)
        self.policies.update(decision.policies)
        self.agents.setdefault(agent, set()).add(asked)
        self.roles.setdefault((who, asked), set()).update(_roles(decision.policies))


def _roles(policies: Iterable[str]) -> Iterable[str]:
    """Name the roles that policies come from; a role's name may hold anything but `/`."""
    return (
        it.removeprefix(_ROLE).partition("/")[0] for it in policies if it.startswith(_ROLE)
    )
