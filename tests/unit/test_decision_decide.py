"""The rules of a decision, and the traps around them, each by example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import KINDS, OPEN_METHODS, decide
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Decision,
    Denied,
    Kind,
    Principal,
    Reason,
)
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
DESK = "https://desk.example/client.json"
CONFIG = Config(
    connectors={
        "tickets": Connector(url="https://tickets.example/mcp", mode="observe"),
        "time": Connector(command=("time-server",), mode="observe"),
    },
    toolsets={"tickets:read": ("tickets/search", "tickets/get_*", "tickets/prompt:triage")},
    roles={
        "support": Role(
            members=("group:support", "user:bob"),
            allow=("tickets:read", "tickets/resource:file:///docs/*"),
        ),
        "clerk": Role(members=("user:alice", "agent:night-job"), allow=("time/*",)),
    },
    agents=Agents(
        default_ceiling=("tickets/search",),
        ceilings={
            DESK: ("tickets/*", "time/*"),
            "night-job": ("time/now", "tickets/*"),
            "capped": (),
        },
    ),
    scopes={"tickets.read": ("tickets:read",)},
)
ALICE = Principal(
    user="user:alice",
    agent=DESK,
    groups=frozenset({"group:support"}),
    scopes=frozenset({"mcp:tickets", "mcp:time"}),
)
ALICE_SEARCHES = CallFacts(ALICE, "tickets", "tools/call", "tool", "search", NOW)
JOB = Principal(user=None, agent="night-job", scopes=frozenset({"mcp:tickets", "mcp:time"}))
JOB_ASKS = CallFacts(JOB, "time", "tools/call", "tool", "now", NOW)


def snapshot(*cedar: str, config: Config = CONFIG) -> Snapshot:
    return build_snapshot(config, {f"policies/{n}.cedar": it for n, it in enumerate(cedar)})


def by(
    principal: Principal, facts: CallFacts = ALICE_SEARCHES, **changes: Any
) -> CallFacts:
    changed: Principal = replace(principal, **changes)
    return replace(facts, principal=changed)


def reason(decision: Decision) -> Reason:
    return decision.reason


def test_a_call_that_user_agent_and_token_may_make_is_allowed() -> None:
    assert decide(ALICE_SEARCHES, snapshot()) == Allowed(
        (
            f"ceiling:{DESK}/tickets/*",
            "role:support/tickets:read",
            "scope:mcp:tickets/tickets/*",
        )
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"connector": "ticket"}, Denied(Reason.UNKNOWN_CONNECTOR)),
        ({"method": "tools/callx"}, Denied(Reason.UNKNOWN_METHOD)),
        ({"method": "tasks/get", "kind": "none"}, Denied(Reason.UNKNOWN_METHOD)),
        ({"method": "TOOLS/CALL"}, Denied(Reason.UNKNOWN_METHOD)),
        ({"kind": "prompt"}, Denied(Reason.UNKNOWN_METHOD)),
        ({"kind": "none"}, Denied(Reason.UNKNOWN_METHOD)),
        ({"name": "delete"}, Denied(Reason.NO_USER_RIGHT)),
        ({"name": "Search"}, Denied(Reason.NO_USER_RIGHT)),
        ({"name": ""}, Denied(Reason.NO_USER_RIGHT)),
    ],
)
def test_one_wrong_fact_denies(changes: Mapping[str, object], expected: Denied) -> None:
    assert decide(replace(ALICE_SEARCHES, **changes), snapshot()) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user": "user:eve", "groups": frozenset()}, Denied(Reason.NO_USER_RIGHT)),
        ({"groups": frozenset()}, Denied(Reason.NO_USER_RIGHT)),
        ({"groups": frozenset({"group:corp|support"})}, Denied(Reason.NO_USER_RIGHT)),
        ({"user": "user:corp|bob", "groups": frozenset()}, Denied(Reason.NO_USER_RIGHT)),
        ({"agent": "capped"}, Denied(Reason.ABOVE_CEILING)),
        (
            {"scopes": frozenset()},
            Denied(Reason.INSUFFICIENT_SCOPE, scopes=("mcp:tickets", "tickets.read")),
        ),
        (
            {"scopes": frozenset({"mcp:time", "mcp:ticket"})},
            Denied(Reason.INSUFFICIENT_SCOPE, scopes=("mcp:tickets", "tickets.read")),
        ),
        ({"user": "alice"}, Denied(Reason.POLICY_ERROR)),
        ({"groups": frozenset({"support"})}, Denied(Reason.POLICY_ERROR)),
        ({"user": ""}, Denied(Reason.POLICY_ERROR)),
    ],
)
def test_one_wrong_part_of_the_principal_denies(
    changes: dict[str, Any], expected: Denied
) -> None:
    assert decide(by(ALICE, **changes), snapshot()) == expected


@pytest.mark.parametrize("method", [*sorted(OPEN_METHODS), "notifications/initialized"])
def test_discovery_is_open_to_who_has_no_right_at_all(method: str) -> None:
    nobody = Principal(user=None, agent="capped")
    facts = CallFacts(nobody, "tickets", method, "none", "", NOW)
    assert decide(facts, snapshot()) == Allowed(reason=Reason.OPEN_METHOD)


def test_discovery_is_not_open_on_a_connector_that_does_not_exist() -> None:
    facts = CallFacts(ALICE, "nowhere", "tools/list", "none", "", NOW)
    assert reason(decide(facts, snapshot())) is Reason.UNKNOWN_CONNECTOR


@pytest.mark.parametrize(
    ("method", "kind", "name"),
    [
        ("prompts/get", "prompt", "triage"),
        ("completion/complete", "prompt", "triage"),
        ("resources/read", "resource", "file:///docs/a"),
        ("resources/subscribe", "resource", "file:///docs/a"),
        ("resources/unsubscribe", "resource", "file:///docs/a"),
        ("completion/complete", "resource", "file:///docs/{name}"),
    ],
)
def test_prompts_resources_and_completions_need_their_right(
    method: str, kind: Kind, name: str
) -> None:
    facts = CallFacts(ALICE, "tickets", method, kind, name, NOW)
    other = replace(facts, name=name.replace("docs", "etc").replace("triage", "other"))
    assert isinstance(decide(facts, snapshot()), Allowed)
    assert reason(decide(other, snapshot())) is Reason.NO_USER_RIGHT


def test_every_method_that_needs_a_right_is_denied_without_one() -> None:
    nobody = Principal(user="user:eve", agent=DESK, scopes=frozenset({"mcp:tickets"}))
    for method, kinds in KINDS.items():
        for kind in kinds:
            facts = CallFacts(nobody, "tickets", method, kind, "x", NOW)
            assert reason(decide(facts, snapshot())) is Reason.NO_USER_RIGHT


def test_a_tool_is_no_prompt_of_the_same_name() -> None:
    facts = replace(ALICE_SEARCHES, method="prompts/get", kind="prompt")
    assert reason(decide(facts, snapshot())) is Reason.NO_USER_RIGHT


def test_a_resource_glob_is_not_left_by_dots() -> None:
    facts = CallFacts(ALICE, "tickets", "resources/read", "resource", "", NOW)
    for uri in ("file:///docs/../etc/passwd", "file:///docs/%2e%2e/etc/passwd"):
        assert decide(replace(facts, name=uri), snapshot()) == Denied(Reason.AMBIGUOUS_URI)


def test_a_tool_named_like_a_prompt_is_reached_by_the_whole_connector_only() -> None:
    facts = replace(ALICE_SEARCHES, name="prompt:triage")
    assert reason(decide(facts, snapshot())) is Reason.NO_USER_RIGHT
    time = replace(facts, connector="time")
    assert isinstance(decide(time, snapshot()), Allowed)


# Agents that act by themselves.


def test_an_agent_acts_alone_where_a_role_names_it_and_its_ceiling_reaches() -> None:
    assert decide(JOB_ASKS, snapshot()) == Allowed(
        (
            "ceiling:night-job/time/now",
            "role:clerk/time/*/agent:night-job",
            "scope:mcp:time/time/*",
        )
    )


def test_a_ceiling_alone_lets_no_agent_act() -> None:
    facts = replace(JOB_ASKS, connector="tickets", name="search")
    assert decide(facts, snapshot()) == Denied(Reason.NO_AGENT_RIGHT)
    cli = by(JOB, JOB_ASKS, agent="bascule-cli")
    assert decide(cli, snapshot()) == Denied(Reason.NO_AGENT_RIGHT)


def test_a_role_widens_no_ceiling() -> None:
    alone = replace(JOB_ASKS, name="set")
    assert decide(alone, snapshot()) == Denied(Reason.ABOVE_CEILING)
    for_alice = by(ALICE, alone, agent="night-job")
    assert decide(for_alice, snapshot()) == Denied(Reason.ABOVE_CEILING)


def test_a_hand_written_permit_for_a_role_widens_no_ceiling_either() -> None:
    permit = '@id("p") permit(principal in Mcp::Role::"clerk", action, resource);'
    alone = replace(JOB_ASKS, name="set")
    assert decide(alone, snapshot(permit)) == Denied(Reason.ABOVE_CEILING)
    assert decide(by(ALICE, alone, agent="night-job"), snapshot(permit)) == Denied(
        Reason.ABOVE_CEILING
    )


def test_an_agent_has_nothing_of_the_groups_and_roles_of_users() -> None:
    alone = by(JOB, ALICE_SEARCHES, groups=frozenset({"group:support"}))
    assert decide(alone, snapshot()) == Denied(Reason.NO_AGENT_RIGHT)


def test_an_agent_named_like_a_user_is_not_that_user() -> None:
    alone = by(JOB, ALICE_SEARCHES, agent="bob")
    assert decide(alone, snapshot()) == Denied(Reason.NO_AGENT_RIGHT)
    job = replace(ALICE, user="user:night-job", groups=frozenset())
    facts = replace(JOB_ASKS, principal=job)
    assert decide(facts, snapshot()) == Denied(Reason.NO_USER_RIGHT)


def test_a_user_does_not_inherit_what_an_agent_may_do_alone() -> None:
    eve = replace(ALICE, user="user:eve", agent="night-job", groups=frozenset())
    facts = replace(JOB_ASKS, principal=eve)
    assert decide(facts, snapshot()) == Denied(Reason.NO_USER_RIGHT)


def test_a_token_needs_its_scope_also_when_the_agent_acts_alone() -> None:
    facts = by(JOB, JOB_ASKS, scopes=frozenset({"mcp:tickets"}))
    assert decide(facts, snapshot()) == Denied(
        Reason.INSUFFICIENT_SCOPE, scopes=("mcp:time",)
    )


# Ceilings.


def test_an_agent_without_an_entry_has_the_default_ceiling() -> None:
    stranger = by(ALICE, agent="https://stranger.example/c.json")
    assert isinstance(decide(stranger, snapshot()), Allowed)
    more = replace(stranger, name="get_one")
    assert decide(more, snapshot()) == Denied(Reason.ABOVE_CEILING)


def test_an_agent_with_an_empty_entry_does_not_have_the_default_ceiling() -> None:
    assert decide(by(ALICE, agent="capped"), snapshot()) == Denied(Reason.ABOVE_CEILING)


def test_the_command_line_has_no_ceiling_and_no_rights_of_its_own() -> None:
    assert isinstance(decide(by(ALICE, agent="bascule-cli"), snapshot()), Allowed)
    eve = by(ALICE, agent="bascule-cli", user="user:eve", groups=frozenset())
    assert decide(eve, snapshot()) == Denied(Reason.NO_USER_RIGHT)


def test_a_foreign_agent_of_the_same_name_is_another() -> None:
    foreign = by(ALICE, ALICE_SEARCHES, agent="https://idp.example|bascule-cli")
    assert decide(replace(foreign, name="get_one"), snapshot()) == Denied(
        Reason.ABOVE_CEILING
    )


# Scopes.


def test_a_configured_scope_covers_its_entries_only() -> None:
    narrow = by(ALICE, scopes=frozenset({"tickets.read"}))
    assert isinstance(decide(narrow, snapshot()), Allowed)
    resource = CallFacts(
        narrow.principal, "tickets", "resources/read", "resource", "file:///docs/a", NOW
    )
    assert decide(resource, snapshot()) == Denied(
        Reason.INSUFFICIENT_SCOPE, scopes=("mcp:tickets",)
    )


def test_a_missing_scope_is_told_only_to_who_would_be_allowed_with_it() -> None:
    no_right = by(ALICE, user="user:eve", groups=frozenset(), scopes=frozenset())
    above = by(ALICE, agent="capped", scopes=frozenset())
    assert decide(no_right, snapshot()) == Denied(Reason.NO_USER_RIGHT)
    assert decide(above, snapshot()) == Denied(Reason.ABOVE_CEILING)


def test_a_forbidden_call_names_no_scope() -> None:
    forbid = '@id("no") forbid(principal is Mcp::Token, action, resource);'
    assert decide(by(ALICE, scopes=frozenset()), snapshot(forbid)) == Denied(
        Reason.POLICY_FORBIDS, ("no",)
    )


# Hand-written policies.

PERMIT_ALL = """
@id("all") permit(principal, action in Mcp::Action::"use", resource);
"""


@pytest.mark.parametrize(
    "forbid",
    [
        f'forbid(principal == Mcp::Agent::"{DESK}", action, resource);',
        'forbid(principal == Mcp::User::"alice", action, resource);',
        'forbid(principal in Mcp::Group::"support", action, resource);',
        'forbid(principal in Mcp::Role::"support", action, resource);',
        'forbid(principal in Mcp::Scope::"mcp:tickets", action, resource);',
        'forbid(principal, action == Mcp::Action::"call_tool", resource);',
        'forbid(principal, action in Mcp::Action::"use", resource);',
        'forbid(principal, action, resource in Mcp::Server::"tickets");',
        'forbid(principal, action, resource in Mcp::Toolset::"tickets:read");',
        'forbid(principal, action, resource == Mcp::Tool::"tickets/search");',
        "forbid(principal, action, resource is Mcp::Tool)"
        ' when { resource.name == "search" };',
        'forbid(principal, action, resource) when { context.method == "tools/call" };',
        'forbid(principal, action, resource) when { context.scopes.contains("mcp:time") };',
        "forbid(principal, action, resource)"
        ' when { context has user && context.user in Mcp::Group::"support" };',
        "forbid(principal, action, resource)"
        f' when {{ context.agent == Mcp::Agent::"{DESK}" }};',
        'forbid(principal, action, resource) unless { resource in Mcp::Server::"time" };',
        "forbid(principal, action, resource)"
        ' when { context.now > datetime("2025-01-01T00:00:00Z") };',
    ],
)
def test_a_forbid_always_bites_whomever_it_speaks_of(forbid: str) -> None:
    decision = decide(ALICE_SEARCHES, snapshot(PERMIT_ALL, f'@id("no") {forbid}'))
    assert decision == Denied(Reason.POLICY_FORBIDS, ("no",))


@pytest.mark.parametrize(
    "forbid",
    [
        'forbid(principal == Mcp::Agent::"night-job", action, resource);',
        'forbid(principal == Mcp::Agent::"night-job", action in Mcp::Action::"use",'
        " resource);",
        'forbid(principal, action == Mcp::Action::"act_alone", resource);',
        "forbid(principal, action, resource) unless { context has user };",
    ],
)
def test_a_forbid_bites_an_agent_that_acts_alone(forbid: str) -> None:
    decision = decide(JOB_ASKS, snapshot(f'@id("no") {forbid}'))
    assert decision == Denied(Reason.POLICY_FORBIDS, ("no",))


@pytest.mark.parametrize(
    "forbid",
    [
        'forbid(principal == Mcp::Agent::"alice", action, resource);',
        'forbid(principal == Mcp::User::"bob", action, resource);',
        'forbid(principal, action == Mcp::Action::"act_alone", resource);',
        'forbid(principal, action == Mcp::Action::"get_prompt", resource);',
        'forbid(principal, action, resource in Mcp::Server::"time");',
        'forbid(principal, action, resource == Mcp::Prompt::"tickets/search");',
    ],
)
def test_a_forbid_of_something_else_does_not_bite(forbid: str) -> None:
    assert isinstance(decide(ALICE_SEARCHES, snapshot(f'@id("no") {forbid}')), Allowed)


def test_all_forbids_are_named_before_a_missing_right() -> None:
    eve = by(ALICE, user="user:eve", groups=frozenset(), scopes=frozenset())
    forbids = (
        '@id("b") forbid(principal == Mcp::User::"eve", action, resource);',
        f'@id("a") forbid(principal == Mcp::Agent::"{DESK}", action, resource);',
    )
    assert decide(eve, snapshot(*forbids)) == Denied(Reason.POLICY_FORBIDS, ("a", "b"))


def test_a_permit_for_one_part_does_not_stand_in_for_another() -> None:
    eve = by(ALICE, user="user:eve", groups=frozenset())
    for principal in (f'== Mcp::Agent::"{DESK}"', "is Mcp::Agent", "is Mcp::Token"):
        permit = f'@id("p") permit(principal {principal}, action, resource);'
        assert decide(eve, snapshot(permit)) == Denied(Reason.NO_USER_RIGHT)


def test_a_permit_of_use_lets_no_agent_act_alone() -> None:
    facts = replace(JOB_ASKS, connector="tickets", name="search")
    assert decide(facts, snapshot(PERMIT_ALL)) == Denied(Reason.NO_AGENT_RIGHT)


@pytest.mark.parametrize(
    "condition",
    ["9223372036854775807 + 1 > 0", 'Mcp::Tool::"time/x".name == "x"'],
)
@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_policy_that_errors_denies(effect: str, condition: str) -> None:
    """Cedar skips a policy that errors; a skipped `forbid` must not allow."""
    broken = f'@id("bad") {effect}(principal, action, resource) when {{ {condition} }};'
    decision = decide(ALICE_SEARCHES, snapshot(broken))
    assert decision == Denied(Reason.POLICY_ERROR, ("bad",))


@pytest.mark.parametrize("kind", ["User", "Agent", "Token"])
def test_an_error_about_any_part_denies(kind: str) -> None:
    broken = (
        f'@id("bad") forbid(principal is Mcp::{kind}, action, resource)'
        " when { 9223372036854775807 + 1 > 0 };"
    )
    decision = decide(ALICE_SEARCHES, snapshot(broken))
    assert decision == Denied(Reason.POLICY_ERROR, ("bad",))


def test_an_error_weighs_more_than_a_forbid() -> None:
    policies = (
        '@id("no") forbid(principal, action, resource);',
        '@id("bad") permit(principal is Mcp::Token, action, resource)'
        " when { 9223372036854775807 + 1 > 0 };",
    )
    assert decide(ALICE_SEARCHES, snapshot(*policies)) == Denied(
        Reason.POLICY_ERROR, ("bad",)
    )


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_a_name_that_is_no_text_denies(name: str) -> None:
    everything = by(ALICE, replace(ALICE_SEARCHES, connector="time", name=name))
    assert decide(everything, snapshot()) == Denied(Reason.POLICY_ERROR)


@pytest.mark.parametrize("now", [-(10**12), 10**15])
def test_a_time_that_cannot_be_written_denies(now: int) -> None:
    forbid = (
        '@id("no") forbid(principal, action, resource)'
        ' when { context.now < datetime("2025-01-01T00:00:00Z") };'
    )
    facts = replace(ALICE_SEARCHES, now=UnixTime(now))
    assert decide(facts, snapshot(forbid)) == Denied(Reason.POLICY_ERROR)


def test_a_policy_follows_the_clock() -> None:
    until = '@id("until") forbid(principal, action, resource) unless { context.now < %s };'
    policies = snapshot(until % 'datetime("2025-11-24T16:00:01Z")')
    before = replace(ALICE_SEARCHES, now=UnixTime(1_764_000_000))
    after = replace(ALICE_SEARCHES, now=UnixTime(1_764_000_001))
    assert isinstance(decide(before, policies), Allowed)
    assert decide(after, policies) == Denied(Reason.POLICY_FORBIDS, ("until",))
    assert isinstance(decide(before, policies), Allowed)


def test_a_policy_tells_methods_of_one_action_apart() -> None:
    forbid = (
        '@id("no") forbid(principal, action, resource)'
        ' when { context.method == "resources/subscribe" };'
    )
    policies = snapshot(forbid)
    read = CallFacts(ALICE, "tickets", "resources/read", "resource", "file:///docs/a", NOW)
    assert isinstance(decide(read, policies), Allowed)
    subscribe = replace(read, method="resources/subscribe")
    assert reason(decide(subscribe, policies)) is Reason.POLICY_FORBIDS


# The snapshot.


def test_the_same_policies_have_the_same_digest() -> None:
    assert snapshot().digest == snapshot().digest
    assert len(snapshot().digest) == 64


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": {}},
        {"toolsets": {"tickets:read": ("tickets/search",)}},
        {
            "roles": {
                **CONFIG.roles,
                "clerk": Role(("user:eve", "agent:night-job"), ("time/*",)),
            }
        },
        {"agents": replace(CONFIG.agents, ceilings={**CONFIG.agents.ceilings, "new": ()})},
        {
            "connectors": {
                **CONFIG.connectors,
                "new": Connector(command=("x",), mode="observe"),
            }
        },
    ],
)
def test_whatever_changes_a_decision_changes_the_digest(changed: dict[str, object]) -> None:
    other: Config = replace(CONFIG, **changed)
    assert snapshot(config=other).digest != snapshot().digest


def test_a_hand_written_policy_changes_the_digest() -> None:
    assert snapshot(PERMIT_ALL).digest != snapshot().digest
