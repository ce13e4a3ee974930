"""What a difference of rights must not miss, and what it must not make up."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import (
    Agents,
    CallApprovalRule,
    Config,
    Connector,
    Role,
    TimedMember,
)
from bascule.decision.cells import Asked, Person
from bascule.decision.rights import OTHER_AGENT
from bascule.decision.rights_diff import Block, Difference, Everyone, difference
from bascule.decision.snapshot import build_snapshot

NOW = UnixTime(1_764_000_000)
CONFIG = Config(
    connectors={"files": Connector(url="https://files.example/mcp", mode="observe")},
    toolsets={"files:read": ("files/read",)},
    roles={"staff": Role(members=("group:staff",), allow=("files/read", "files/list"))},
    agents=Agents(default_ceiling=("files/*",), ceilings={"bot": ("files/read",)}),
)
ALICE = Person("user:alice", "user:alice", frozenset({"group:staff"}))
BOB = Person("user:bob", "user:bob", frozenset({"group:staff"}))
EVE = Person("user:eve", "user:eve")
TOOLS = tuple(Asked("files", "tool", name) for name in ("read", "list", "write", "put"))
EVERYONE = Everyone((ALICE, BOB, EVE), ("bot", OTHER_AGENT), (), TOOLS)
USERS = 'principal is Mcp::User, action == Mcp::Action::"call_tool", resource'


def compared(
    after: Config = CONFIG, before: Config = CONFIG, *, old: str = "", new: str = ""
) -> Difference:
    return difference(
        build_snapshot(before, {"x.cedar": old}),
        build_snapshot(after, {"x.cedar": new}),
        EVERYONE,
        NOW,
    )


def changed(**parts: Any) -> Config:
    return replace(CONFIG, **parts)


def with_role(**parts: Any) -> Config:
    return changed(roles={"staff": replace(CONFIG.roles["staff"], **parts)})


def short(blocks: list[Block]) -> set[tuple[str, str, str, str]]:
    """Give kind, users, agents and targets of each block, by first letters."""
    return {
        (
            block.change.kind,
            " ".join(sorted((it or "-").removeprefix("user:") for it in block.users)),
            " ".join(sorted(block.agents)),
            " ".join(it.removeprefix("files/") for it in block.targets),
        )
        for block in blocks
    }


def kinds_of(found: Difference, user: str) -> dict[str, str]:
    """Give the kind of change by tool, for one user through an agent of no name."""
    return {
        target.removeprefix("files/"): block.change.kind
        for block in found.combined
        if user in block.users and OTHER_AGENT in block.agents
        for target in block.targets
    }


def test_a_new_entry_is_allowed_where_the_ceiling_has_it() -> None:
    found = compared(with_role(allow=("files/read", "files/list", "files/write")))
    assert short(found.users) == {("allowed", "alice bob", "", "write")}
    assert short(found.combined) == {("allowed", "alice bob", OTHER_AGENT, "write")}
    assert not found.agents
    found = compared(CONFIG, with_role(allow=("files/read", "files/list", "files/write")))
    assert short(found.users) == {("denied", "alice bob", "", "write")}


def test_a_wider_ceiling_is_the_agents_alone_where_no_user_has_the_right() -> None:
    agents = replace(CONFIG.agents, ceilings={"bot": ("files/read", "files/write")})
    found = compared(changed(agents=agents))
    assert short(found.agents) == {("allowed", "", "bot", "write")}
    assert not found.users
    assert not found.combined


def test_what_is_denied_says_why() -> None:
    found = compared(with_role(allow=("files/list",)))
    (block,) = found.combined
    assert block.change == ("denied", "allow", "deny", "no_user_right")
    assert block.size == 4


def test_an_agent_by_itself_is_a_row_of_its_own() -> None:
    found = compared(with_role(members=("group:staff", "agent:bot")))
    assert short(found.users) == {("allowed", "-", "bot", "list read")}
    assert short(found.combined) == {("allowed", "-", "bot", "read")}
    policy = 'permit(principal == Mcp::Agent::"bot", action == Mcp::Action::"act_alone", '
    found = compared(new=f'@id("p") {policy}resource == Mcp::Tool::"files/put");')
    assert short(found.users) == {("allowed", "-", "bot", "put")}


def test_whom_a_condition_is_about_counts_though_it_holds_for_nobody_yet() -> None:
    later = 'context.now > datetime("2031-01-01") && principal in Mcp::Role::"staff"'
    policy = f'@id("p") permit({USERS}) when {{ {later} }};'
    found = compared(with_role(members=("user:eve",), allow=()), old=policy, new=policy)
    assert kinds_of(found, "user:eve").items() >= {("put", "conditions")}


def test_people_whom_only_a_condition_tells_apart_are_told_apart() -> None:
    policy = f'@id("p") permit({USERS}) when {{ principal == Mcp::User::"bob" }};'
    found = compared(new=policy)
    assert short(found.users) == {("allowed", "bob", "", "put write")}


def test_tools_that_only_a_condition_tells_apart_are_told_apart() -> None:
    policy = f'@id("p") forbid({USERS}) when {{ resource.name == "read" }};'
    found = compared(new=policy)
    assert short(found.users) == {("denied", "alice bob", "", "read")}
    found = compared(new=policy.replace("forbid", "permit").replace('"read"', '"put"'))
    assert kinds_of(found, "user:eve") == {"put": "allowed"}


def test_a_right_that_depends_on_the_agent_is_said_for_each() -> None:
    policy = f'@id("p") forbid({USERS}) when {{ context.agent == Mcp::Agent::"bot" }};'
    found = compared(new=policy)
    assert short(found.users) == {("denied", "alice bob", "bot", "list read")}
    assert short(found.combined) == {("denied", "alice bob", "bot", "read")}


def test_a_ceiling_that_depends_on_the_user_is_said_for_each() -> None:
    policy = (
        '@id("p") forbid(principal is Mcp::Agent, action in Mcp::Action::"use", resource) '
        'when { context has user && context.user == Mcp::User::"bob" };'
    )
    found = compared(new=policy)
    assert short(found.agents) == {
        ("denied", "bob", "bot", "read"),
        ("denied", "bob", OTHER_AGENT, "list put read write"),
    }
    assert short(found.combined) == {
        ("denied", "bob", "bot", "read"),
        ("denied", "bob", OTHER_AGENT, "list read"),
    }


PATH = f'@id("p") permit({USERS}) when {{ context.args has path && context.args.path'


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("", f'{PATH} like "/srv/*" }};', "allowed"),
        (f'{PATH} like "/srv/*" }};', f'{PATH} like "/*" }};', "conditions"),
        (f'{PATH} like "/srv/*" }};', f'@id("q") permit({USERS});', "wider"),
        (f'@id("q") permit({USERS});', f'{PATH} like "/srv/*" }};', "narrower"),
        (f'{PATH} like "/srv/*" }};', "", "denied"),
    ],
)
def test_conditions_on_arguments_count(old: str, new: str, kind: str) -> None:
    found = compared(old=old, new=new)
    assert kinds_of(found, "user:eve") == dict.fromkeys(
        ("read", "list", "write", "put"), kind
    )


def test_another_name_of_a_policy_is_no_difference() -> None:
    old = f'{PATH} like "/srv/*" }};'
    assert compared(old=old, new=old.replace('"p"', '"q"')) == Difference([], [], [], [])


def test_a_toolset_that_a_condition_reads_counts() -> None:
    policy = f'{PATH} like "/srv/*" && resource in Mcp::Toolset::"files:read" }};'
    after = changed(toolsets={"files:read": ("files/write",)})
    found = compared(after, old=policy, new=policy)
    assert kinds_of(found, "user:eve").keys() == {"read", "write"}


def test_what_begins_later_is_said_now() -> None:
    policy = f'@id("p") permit({USERS}) when {{ context.now > datetime("2031-01-01") }};'
    found = compared(new=policy)
    assert kinds_of(found, "user:eve") == dict.fromkeys(
        ("read", "list", "write", "put"), "conditions"
    )
    assert not any("write" in it[3] for it in short(found.combined) if it[2] == "bot")


def test_a_membership_that_ends_is_a_condition() -> None:
    until = datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC)
    later = datetime.datetime(2032, 1, 1, tzinfo=datetime.UTC)
    for old, new in (
        ("user:eve", TimedMember(who="user:eve", until=until)),
        (
            TimedMember(who="user:eve", until=until),
            TimedMember(who="user:eve", until=later),
        ),
    ):
        found = compared(
            with_role(members=("group:staff", new)), with_role(members=("group:staff", old))
        )
        assert short(found.users) == {("conditions", "eve", "", "list read")}
    beside = with_role(members=("group:staff", TimedMember(who="user:bob", until=until)))
    assert compared(beside) == Difference([], [], [], [])


def test_a_call_that_must_be_approved_from_now_on_is_narrower() -> None:
    rule = CallApprovalRule(tools=("files/read",), approvers=("group:staff",))
    found = compared(changed(call_approvals={"careful": rule}))
    assert ("narrower", "alice bob", f"{OTHER_AGENT} bot", "read") in short(found.combined)


def test_without_its_connector_nothing_is_left() -> None:
    gone = Config(connectors={}, agents=Agents(default_ceiling=()))
    found = compared(gone, new='@id("p") permit(principal, action, resource);')
    assert {it[0] for it in short(found.combined)} == {"denied"}
    assert sum(it.size for it in found.combined) == 2 * (1 + 2)


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    snapshot = build_snapshot(CONFIG, {})
    difference(snapshot, snapshot, EVERYONE, NOW, lambda *it: told.append(it))
    assert told[-1] == (8, 8)
