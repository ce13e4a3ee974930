"""What approval and pins add to a decision, by example."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.facts import (
    UNLINKED,
    UNREADABLE,
    Allowed,
    CallFacts,
    Denied,
    Kind,
    Principal,
    Reason,
)
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
CONFIG = Config(
    connectors={"desk": Connector(url="https://desk.example/mcp")},
    roles={
        "clerk": Role(
            members=("user:alice",),
            allow=(
                "desk/echo",
                "desk/fresh",
                "desk/prompt:*",
                "desk/resource:*",
            ),
        )
    },
    agents=Agents(default_ceiling=("desk/*",)),
)
ALICE = Principal(user="user:alice", agent="app", scopes=frozenset({"mcp:desk"}))
EVE = replace(ALICE, user="user:eve")
CALL = CallFacts(ALICE, "desk", "tools/call", "tool", "echo", NOW, "e1")
PROMPT = CallFacts(ALICE, "desk", "prompts/get", "prompt", "hello", NOW, "p1")
READ = CallFacts(ALICE, "desk", "resources/read", "resource", "note:1", NOW)
APPROVED = Gate(
    mode="enforce",
    until=UnixTime(NOW + 1),
    pins={
        "tools": {"echo": frozenset({"e1", "e2"})},
        "prompts": {"hello": frozenset({"p1"})},
        "resourceTemplates": {"note:{id}": frozenset({"t1"})},
    },
)


def gated(gate: Gate) -> Snapshot:
    return build_snapshot(CONFIG, {}, {"desk": gate})


def completion(kind: Kind, name: str, definition: str | None) -> CallFacts:
    return CallFacts(ALICE, "desk", "completion/complete", kind, name, NOW, definition)


@pytest.mark.parametrize(
    "facts",
    [
        CALL,
        replace(CALL, definition="e2"),
        PROMPT,
        READ,
        replace(READ, method="resources/subscribe"),
        replace(CALL, method="tools/list", kind="none", name=""),
        replace(CALL, method="initialize", kind="none", name=""),
        completion("prompt", "hello", "p1"),
        completion("resource", "note:{id}", "t1"),
        completion("resource", "note:1", None),
    ],
)
def test_what_was_approved_is_allowed(facts: CallFacts) -> None:
    decision = decide(facts, gated(APPROVED))
    assert isinstance(decision, Allowed)
    assert decision.finding is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(CALL, definition="e3"), Reason.DEFINITION_DRIFTED),
        (replace(CALL, definition="p1"), Reason.DEFINITION_DRIFTED),
        (replace(CALL, definition=""), Reason.DEFINITION_DRIFTED),
        (replace(CALL, definition=None), Reason.DEFINITION_WITHDRAWN),
        (replace(CALL, definition=UNREADABLE), Reason.DEFINITIONS_UNREADABLE),
        (replace(CALL, definition=UNLINKED), Reason.ACCOUNT_NEEDED),
        (replace(CALL, name="fresh"), Reason.DEFINITION_UNAPPROVED),
        (replace(CALL, name="fresh", definition=UNREADABLE), Reason.DEFINITION_UNAPPROVED),
        (replace(PROMPT, definition="e1"), Reason.DEFINITION_DRIFTED),
        (replace(PROMPT, name="echo", definition="e1"), Reason.DEFINITION_UNAPPROVED),
        (completion("prompt", "hello", "p2"), Reason.DEFINITION_DRIFTED),
        (completion("resource", "note:{id}", "t2"), Reason.DEFINITION_DRIFTED),
        (completion("resource", "note:{ID}", "t1"), Reason.DEFINITION_UNAPPROVED),
        (replace(CALL, principal=EVE, definition="e3"), Reason.NO_USER_RIGHT),
        (replace(CALL, principal=EVE, name="fresh"), Reason.NO_USER_RIGHT),
        (replace(CALL, method="tools/new"), Reason.UNKNOWN_METHOD),
    ],
)
def test_another_definition_is_denied(facts: CallFacts, expected: Reason) -> None:
    assert decide(facts, gated(APPROVED)).reason is expected


@pytest.mark.parametrize(
    "facts",
    [
        CALL,
        PROMPT,
        READ,
        replace(CALL, principal=EVE),
        replace(CALL, method="tools/list", kind="none", name=""),
        replace(CALL, method="initialize", kind="none", name=""),
        replace(CALL, method="no/such", kind="none", name=""),
        replace(CALL, method="notifications/initialized", kind="none", name=""),
    ],
)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"until": NOW}, Reason.APPROVAL_EXPIRED),
        ({"until": UnixTime(NOW - 1)}, Reason.APPROVAL_EXPIRED),
        ({"missing": Reason.NOT_APPROVED}, Reason.NOT_APPROVED),
        ({"missing": Reason.LOCK_DRIFTED}, Reason.LOCK_DRIFTED),
        ({"missing": Reason.APPROVAL_REJECTED, "until": NOW}, Reason.APPROVAL_REJECTED),
    ],
)
def test_without_an_approval_nothing_is_served(
    facts: CallFacts, change: dict[str, Any], expected: Reason
) -> None:
    assert decide(facts, gated(replace(APPROVED, **change))) == Denied(expected)


@pytest.mark.parametrize("mode", ["observe", "warn"])
@pytest.mark.parametrize(
    ("change", "facts", "expected"),
    [
        ({}, replace(CALL, definition="e3"), Reason.DEFINITION_DRIFTED),
        ({}, replace(CALL, name="fresh"), Reason.DEFINITION_UNAPPROVED),
        ({"until": NOW}, CALL, Reason.APPROVAL_EXPIRED),
        ({"missing": Reason.NOT_APPROVED}, READ, Reason.NOT_APPROVED),
        ({}, CALL, None),
    ],
)
def test_other_modes_allow_and_say_what_they_found(
    mode: str, change: dict[str, Any], facts: CallFacts, expected: Reason | None
) -> None:
    decision = decide(facts, gated(replace(APPROVED, mode=mode, **change)))
    assert isinstance(decision, Allowed)
    assert (decision.reason, decision.finding) == (Reason.ALLOWED, expected)


@pytest.mark.parametrize("mode", ["observe", "warn"])
def test_other_modes_give_no_right(mode: str) -> None:
    open_gate = gated(replace(APPROVED, mode=mode))
    decision = decide(replace(CALL, principal=EVE, definition="e3"), open_gate)
    assert decision == Denied(Reason.NO_USER_RIGHT)


def test_an_approval_ends_while_decisions_are_remembered() -> None:
    policies = gated(APPROVED)
    assert isinstance(decide(CALL, policies), Allowed)
    assert isinstance(decide(CALL, policies), Allowed)
    later = replace(CALL, now=APPROVED.until)
    assert decide(later, policies) == Denied(Reason.APPROVAL_EXPIRED)


def test_a_remembered_decision_says_nothing_of_a_definition() -> None:
    policies = gated(APPROVED)
    assert isinstance(decide(CALL, policies), Allowed)
    drifted = replace(CALL, definition="e3")
    assert decide(drifted, policies) == Denied(Reason.DEFINITION_DRIFTED)
    assert isinstance(decide(CALL, policies), Allowed)


def test_gates_are_part_of_what_the_digest_stands_for() -> None:
    one = gated(APPROVED)
    other = gated(replace(APPROVED, until=UnixTime(NOW + 2)))
    assert one.digest != other.digest
    assert one.digest == gated(APPROVED).digest
