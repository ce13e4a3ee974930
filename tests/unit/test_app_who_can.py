"""Tables of rights say what a decision would say."""

from __future__ import annotations

from dataclasses import replace as replaced

import pytest

from bascule.app.catalogue import KnownAgent, KnownUser
from bascule.app.who_can import Right, rights
from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.alike import Likenesses
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Denied, Maybe, Principal
from bascule.decision.snapshot import build_snapshot

NOW = UnixTime(1_764_000_000)
CONFIG = Config(
    connectors={
        "tickets": Connector(url="https://tickets.example/mcp", mode="observe"),
        "time": Connector(command=("time-server",)),
    },
    roles={
        "support": Role(members=("group:support", "user:bob"), allow=("tickets/get_*",)),
        "clerk": Role(members=("user:alice", "agent:job"), allow=("tickets/*", "time/*")),
    },
    agents=Agents(
        default_ceiling=("tickets/get_one",), ceilings={"job": ("tickets/*",), "capped": ()}
    ),
)
POLICIES = {
    "x.cedar": """
        @id("no-deletion") forbid(principal is Mcp::User, action, resource)
        when { resource has name && resource.name == "delete" };
        @id("open-hours") permit(principal is Mcp::User, action in Mcp::Action::"use",
            resource in Mcp::Server::"tickets")
        when { context.now.toTime() > duration("1h") };
        @id("not-dave") forbid(principal is Mcp::User,
            action in Mcp::Action::"use", resource)
        when { principal == Mcp::User::"dave" || context.agent == Mcp::Agent::"odd" };
        @id("staff") permit(principal is Mcp::User, action in Mcp::Action::"use",
            resource == Mcp::Tool::"tickets/search")
        when { principal in Mcp::Group::"staff" };
    """
}
USERS = [
    KnownUser("user:alice", frozenset({"group:staff"})),
    KnownUser("user:bob"),
    KnownUser("user:carol", frozenset({"group:support"})),
    KnownUser("user:dave", frozenset({"group:support"})),
    KnownUser("user:erin", frozenset({"group:support", "group:named-nowhere"})),
    KnownUser("user:fred", frozenset({"group:staff", "group:support"})),
    KnownUser("user:https://idp.example|7"),
    None,
]
AGENTS = [KnownAgent(it) for it in ("bascule-cli", "capped", "desk", "job", "odd", "pad")]
TOOLS = {"tickets": ("delete", "get_one", "get_two", "search"), "time": ("now",)}
SNAPSHOT = build_snapshot(CONFIG, POLICIES)
TABLE = list(rights(USERS, AGENTS, TOOLS, SNAPSHOT, now=NOW))


def test_there_is_one_row_for_each_user_agent_and_tool() -> None:
    told = [(it.user, it.agent, it.connector, it.tool) for it in TABLE]
    every = [
        (user and user.name, agent.client_id, connector, tool)
        for user in USERS
        for agent in AGENTS
        for connector, tools in TOOLS.items()
        for tool in tools
    ]
    assert told == every


@pytest.mark.parametrize("row", TABLE, ids=lambda it: f"{it.user}-{it.agent}-{it.tool}")
def test_each_row_is_what_a_decision_says(row: Right) -> None:
    groups = {user.name: user.groups for user in USERS if user is not None}
    who = Principal(
        user=row.user,
        agent=row.agent,
        groups=groups.get(row.user or "", frozenset()),
        scopes=frozenset({f"mcp:{row.connector}"}),
    )
    facts = CallFacts(who, row.connector, "tools/call", "tool", row.tool, NOW)
    decision = decide(facts, build_snapshot(CONFIG, POLICIES))
    kinds = {Allowed: "allow", Denied: "deny", Maybe: "maybe"}
    assert row.decision == kinds[type(decision)]
    assert row.because == (list(decision.policies) or [row.reason])
    if isinstance(decision, Denied):
        assert row.reason == decision.reason


def test_only_who_is_named_somewhere_can_be_told_apart() -> None:
    likenesses = Likenesses(SNAPSHOT)
    found = {
        user.name: likenesses.of(Principal(user.name, "pad", user.groups))
        for user in USERS
        if user is not None
    }
    assert found["user:carol"] == found["user:erin"]
    assert len(set(found.values())) == len(found) - 1
    agents = [likenesses.of(Principal(None, it.client_id)) for it in AGENTS]
    assert len(set(agents)) == len(agents) - 1  # `desk` and `pad` are alike


def test_nobody_may_use_what_is_not_approved() -> None:
    found = {(it.decision, it.reason) for it in TABLE if it.connector == "time"}
    assert found == {("deny", "not_approved")}


def test_who_is_shut_out_may_nothing() -> None:
    users = [replaced(USERS[1] or KnownUser(""), disabled=True)]
    found = list(rights(users, AGENTS[:1], TOOLS, SNAPSHOT, now=NOW))
    assert {(it.decision, it.reason) for it in found} == {("deny", "user_disabled")}
    agents = [KnownAgent("bascule-cli", disabled=True)]
    found = list(rights(USERS[:1], agents, TOOLS, SNAPSHOT, now=NOW))
    assert {(it.decision, it.reason) for it in found} == {("deny", "agent_disabled")}
