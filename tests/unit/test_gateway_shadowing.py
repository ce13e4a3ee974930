"""What is tried out has no way to change what happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from bascule.clock import UnixTime
from bascule.config.model import Agents, CallApprovalRule, Config, Connector, Role
from bascule.decision.facts import Allowed, CallFacts, Denied, Principal, Reason, Settled
from bascule.decision.snapshot import Snapshot, build_snapshot, with_gates, with_grants
from bascule.gateway.shadowing import shadowed

CONFIG = Config(
    connectors={"desk": Connector(url="https://desk.example/mcp", mode="observe")},
    roles={"clerk": Role(members=("user:alice",), allow=("desk/*",))},
    agents=Agents(default_ceiling=("desk/*",)),
)
ALICE = Principal("user:alice", "app", scopes=frozenset({"mcp:desk"}))
CALL = CallFacts(ALICE, "desk", "tools/call", "tool", "echo", UnixTime(1), arguments={})
LIVE = build_snapshot(CONFIG, {})
NOBODY = build_snapshot(Config(connectors=CONFIG.connectors), {})
CAREFUL = build_snapshot(
    Config(
        connectors=CONFIG.connectors,
        roles=CONFIG.roles,
        agents=CONFIG.agents,
        call_approvals={"careful": CallApprovalRule(tools=("desk/echo",))},
    ),
    {},
)
ALLOWED = Allowed()


def tried(
    candidate: Any, decision: Settled = ALLOWED, facts: CallFacts = CALL
) -> tuple[Any, dict[tuple[str, str], int]]:
    counted: Counter[tuple[str, str]] = Counter()
    found = shadowed(counted, facts, decision, replace(LIVE, shadow=candidate))
    return found, dict(counted)


def test_without_a_candidate_nothing_is_counted() -> None:
    assert tried(None) == (UNSET, {})


def test_what_is_the_same_is_counted_and_not_said() -> None:
    assert tried(LIVE) == (UNSET, {("allow", "allow"): 1})


def test_what_is_otherwise_is_said() -> None:
    found, counted = tried(NOBODY)
    assert (found.decision, found.reason) == ("deny", "no_user_right")
    assert found.policy_digest == NOBODY.digest
    assert counted == {("allow", "deny"): 1}


def test_a_candidate_that_cannot_be_asked_denies_and_raises_nothing() -> None:
    found, counted = tried(replace(LIVE, gates={}))
    assert (found.decision, found.reason) == ("deny", "policy_error")
    assert counted == {("allow", "deny"): 1}


def test_a_consent_that_is_there_counts_for_both() -> None:
    assert tried(CAREFUL)[0].decision == "approve"
    consented = Allowed(obligations=(("other", "p"),))
    assert tried(CAREFUL, consented) == (UNSET, {("allow", "allow"): 1})


def test_lists_and_calls_that_a_rate_ended_are_left_out() -> None:
    assert tried(NOBODY, Denied(Reason.LIMIT_REACHED)) == (UNSET, {})
    listing = CallFacts(ALICE, "desk", "tools/list", "none", "", UnixTime(1))
    assert tried(NOBODY, Allowed(reason=Reason.OPEN_METHOD), listing) == (UNSET, {})


def test_gates_and_grants_reach_it_and_its_digest_is_no_part_of_that_in_force() -> None:
    both: Snapshot = replace(LIVE, shadow=NOBODY)
    assert both.digest == LIVE.digest
    moved = with_grants(with_gates(both, dict(LIVE.gates)), LIVE.grants)
    assert moved.shadow is not None
    assert moved.shadow.gates == moved.gates
    assert moved.digest == LIVE.digest
