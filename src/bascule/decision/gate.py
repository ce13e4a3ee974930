"""The gate of a connector: what was approved of it, and what happens without that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Mode
from bascule.decision.facts import UNLINKED, UNREADABLE, CallFacts, Reason

DefinitionKind = Literal["tools", "prompts", "resourceTemplates"]
"""By the key that the list has in a result, as in `lock.definition`."""

Pins = dict[DefinitionKind, dict[str, frozenset[str]]]
"""Digests of the approved definitions by kind and name; a template's name is its URI
template. Servers may show more to clients that can do more, so that a name has several."""

MISSING = frozenset(
    (
        Reason.NOT_APPROVED,
        Reason.APPROVAL_EXPIRED,
        Reason.APPROVAL_REJECTED,
        Reason.LOCK_DRIFTED,
        Reason.KNOWN_MALWARE,
        Reason.BOUNDARY_BROKEN,
    )
)
"""Reasons of a connector that has no valid approval, or is closed: nothing of it is
served."""

_BY_METHOD: Mapping[str, DefinitionKind] = {
    "tools/call": "tools",
    "prompts/get": "prompts",
}


class ToolPin(Struct, frozen=True):
    """What a decision reads of one approved tool definition."""

    schema: bytes = b"{}"
    """`inputSchema`, as JSON."""
    destructive: bool = True
    """`destructiveHint`; what is not said is taken as the worst, as MCP has it."""
    read_only: bool = False
    open_world: bool = True


class Gate(Struct, frozen=True, kw_only=True):
    """What is compared at each request; made anew whenever an approval changes."""

    mode: Mode
    missing: Reason | None = None
    """Why no approval is in force, whatever the time; None when there is one."""
    until: UnixTime | None = None
    """When the approval ends; None for one without an end."""
    problem: str = ""
    """What is missing, as a sentence for the operator."""
    entry: str = ""
    """Digest of the locked entry that `pins` come from."""
    pins: Pins = field(default_factory=dict)
    tools: dict[str, dict[str, ToolPin]] = field(default_factory=dict)
    """The approved tools by name, and of each its definitions by digest."""
    instructions: frozenset[str] = frozenset()
    """Digests of the instructions that were approved."""
    server: frozenset[str] = frozenset()
    """Digests of the identity that the server was approved with."""
    closed: bool = False
    """Its boundary is broken, and the rule is to close it, whatever the mode."""

    @property
    def enforces(self) -> bool:
        """Whether what is found refuses."""
        return self.mode == "enforce"

    def lapsed(self, now: UnixTime) -> Reason | None:
        """Give why no approval is in force at a time; None when there is one."""
        if self.missing is not None:
            return self.missing
        if self.until is not None and now >= self.until:
            return Reason.APPROVAL_EXPIRED
        return None

    def shuts(self, now: UnixTime) -> Reason | None:
        """Give why nothing at all may pass at a time; None when something may."""
        lapsed = self.lapsed(now) if self.enforces else None
        return Reason.BOUNDARY_BROKEN if self.closed and lapsed is None else lapsed

    def compare(self, kind: DefinitionKind, name: str, served: str | None) -> Reason | None:
        """Compare what is served under a name with what was approved; None when equal.

        `served` is the digest of that definition, None where none is.
        """
        pinned = self.pins.get(kind, {}).get(name)
        if pinned is None:
            return Reason.DEFINITION_UNAPPROVED
        if served in pinned:
            return None
        if served is None:
            return Reason.DEFINITION_WITHDRAWN
        if served == UNREADABLE:
            return Reason.DEFINITIONS_UNREADABLE
        if served == UNLINKED:
            return Reason.ACCOUNT_NEEDED
        return Reason.DEFINITION_DRIFTED

    def deviation(self, facts: CallFacts) -> Reason | None:
        """Give how what a request is for differs from what was approved; None if not."""
        kind = pinned_kind(facts.method, facts.kind, facts.name)
        return None if kind is None else self.compare(kind, facts.name, facts.definition)


def pinned_kind(method: str, kind: str, name: str) -> DefinitionKind | None:
    """Give which definition a method depends on; None for none.

    Reading a resource depends on none: which there are changes all the time, and what they
    hold is data, like the results of tools. A completion for a URI template depends on it.
    """
    if method == "completion/complete":
        if kind == "prompt":
            return "prompts"
        return "resourceTemplates" if "{" in name else None
    return _BY_METHOD.get(method)


def as_approved(facts: CallFacts, gate: Gate | None) -> CallFacts:
    """Take it that the server serves what was approved, unless the facts say otherwise."""
    kind = pinned_kind(facts.method, facts.kind, facts.name)
    if gate is None or kind is None or facts.definition is not None:
        return facts
    pinned = gate.pins.get(kind, {}).get(facts.name, frozenset())
    return replace(facts, definition=min(pinned, default=None))


def without_approval(mode: Mode | None) -> Gate | None:
    """Give the gate of a connector that is in no lock; None where nothing is compared."""
    if mode == "observe":
        return None
    return Gate(
        mode=mode or "enforce", missing=Reason.NOT_APPROVED, problem="it is in no lock file"
    )
