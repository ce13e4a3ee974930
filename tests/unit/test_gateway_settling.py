"""Which requests are decided without asking the state database."""

from __future__ import annotations

import pytest

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Flow, Rate, Role
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Denied, Principal, Reason
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.gateway.settling import settled_at_once

NOW = UnixTime(1_764_000_000)
ALICE = Principal("user:alice", "desk", scopes=frozenset({"mcp:fs"}))
CONFIG = Config(
    connectors={"fs": Connector(command=("fs",), mode="observe")},
    roles={"all": Role(members=("user:alice",), allow=("fs/*",))},
    agents=Agents(default_ceiling=("fs/*",)),
)
RULED = Config(
    connectors=CONFIG.connectors,
    roles=CONFIG.roles,
    agents=CONFIG.agents,
    labels={"in": ("fs/read",), "out": ("fs/send",)},
    flows={"way-out": Flow(after=("in",), close=("out",))},
    rates={"few": Rate(of=("fs/counted",), calls=1)},
)
APPROVED = (
    '@id("ask") @obligation("approve") forbid(principal is Mcp::User, '
    'action == Mcp::Action::"call_tool", resource == Mcp::Tool::"fs/wipe");'
)


def call(name: str) -> CallFacts:
    return CallFacts(ALICE, "fs", "tools/call", "tool", name, NOW, arguments={"n": 1})


@pytest.fixture(scope="module")
def ruled() -> Snapshot:
    return build_snapshot(RULED, {"policies/a.cedar": APPROVED})


@pytest.mark.parametrize("name", ["read", "send", "counted", "wipe"])
def test_what_rules_concern_is_never_settled_at_once(ruled: Snapshot, name: str) -> None:
    assert settled_at_once(call(name), ruled) is None


def test_an_approval_is_needed_where_one_was_not_looked_up(ruled: Snapshot) -> None:
    decision = decide(call("wipe"), ruled)
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.APPROVAL_REQUIRED


@pytest.mark.parametrize("name", ["other", "wiped"])
def test_all_else_is_decided_as_it_would_be_anyway(ruled: Snapshot, name: str) -> None:
    for snapshot in (ruled, build_snapshot(CONFIG, {})):
        decision = settled_at_once(call(name), snapshot)
        assert decision == decide(call(name), snapshot)
        assert decision is not None


def test_who_may_not_is_refused_at_once(ruled: Snapshot) -> None:
    mallory = Principal("user:mallory", "desk", scopes=frozenset({"mcp:fs"}))
    facts = CallFacts(mallory, "fs", "tools/call", "tool", "wipe", NOW, arguments={})
    decision = settled_at_once(facts, ruled)
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.NO_USER_RIGHT
