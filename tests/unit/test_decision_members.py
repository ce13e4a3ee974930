"""Members of roles for a time: in to the second, and out of what a role forbids too."""

from __future__ import annotations

import pytest

from bascule.clock import UnixTime
from bascule.config.load import ConfigError, load
from bascule.config.members import Member, members_of
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Denied, Principal, Reason
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.decision.widening import widenings

END = UnixTime(1_767_225_600)
"""2026-01-01T00:00:00Z."""
BASE = """
[connectors.desk]
url = "http://127.0.0.1:1/mcp"
mode = "observe"
[roles.clerk]
members = [MEMBERS]
allow = ["desk/search"]
[agents]
default_ceiling = ["desk/*"]
"""
FOR_A_TIME = '{ who = "WHO", until = 2026-01-01T00:00:00Z }'
ALICE = Principal("user:alice", "app", scopes=frozenset({"mcp:desk"}))
ROBOT = Principal(None, "robot", scopes=frozenset({"mcp:desk"}))


def text(*members: str) -> str:
    return BASE.replace("MEMBERS", ", ".join(members))


def timed(who: str) -> str:
    return FOR_A_TIME.replace("WHO", who)


def snapshot(*members: str, cedar: str = "") -> Snapshot:
    return build_snapshot(load(text(*members), source="x"), {"p.cedar": cedar})


def call(now: int, who: Principal = ALICE) -> CallFacts:
    return CallFacts(who, "desk", "tools/call", "tool", "search", UnixTime(now))


@pytest.mark.parametrize(
    ("who", "member"),
    [
        (ALICE, "user:alice"),
        (Principal("user:bob", "app", frozenset({"group:g"}), ALICE.scopes), "group:g"),
        (ROBOT, "agent:robot"),
    ],
)
def test_a_member_for_a_time_is_one_to_the_second(who: Principal, member: str) -> None:
    policies = snapshot(timed(member))
    for _ in range(2):  # in any order: neither moment is remembered for the other
        assert isinstance(decide(call(END, who), policies), Denied)
        assert isinstance(decide(call(END - 1, who), policies), Allowed)


def test_what_a_role_forbids_is_forbidden_to_members_for_a_time() -> None:
    cedar = (
        '@id("no") forbid(principal in Mcp::Role::"clerk", action, resource);'
        '@id("all") permit(principal is Mcp::User, action, resource);'
    )
    policies = snapshot(timed("user:alice"), cedar=cedar)
    assert decide(call(END - 1), policies) == Denied(Reason.POLICY_FORBIDS, ("no",))
    assert isinstance(decide(call(END), policies), Allowed)


def test_the_longest_of_several_memberships_counts() -> None:
    for who, member in ((ALICE, "user:alice"), (ROBOT, "agent:robot")):
        policies = snapshot(timed(member), f'"{member}"')
        assert isinstance(decide(call(END, who), policies), Allowed)


def test_others_are_remembered_as_before() -> None:
    policies = snapshot(timed("user:alice"), '"user:bob"')
    bob = Principal("user:bob", "app", scopes=frozenset({"mcp:desk"}))
    assert isinstance(decide(call(END, bob), policies), Allowed)
    key = (bob, "desk", "tools/call", "tool")
    assert policies.memo.names(key) is not None
    decide(call(END), policies)
    assert policies.memo.names((ALICE, *key[1:])) is None


def test_members_are_read_with_their_end() -> None:
    role = load(text('"group:g"', timed("user:alice")), source="x").roles["clerk"]
    assert members_of(role) == (Member("group:g", None), Member("user:alice", END))


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ('{ who = "user:alice" }', "roles.clerk.members[0].until"),
        ('{ who = "user:alice", until = 2026-01-01 }', "roles.clerk.members[0].until"),
        (
            '{ who = "user:alice", until = 2026-01-01T00:00:00 }',
            "roles.clerk.members[0].until",
        ),
        (
            '{ who = "user:a", until = 2026-01-01T00:00:00Z, x = 1 }',
            "roles.clerk.members[0].x",
        ),
        (timed("alice"), "roles.clerk.members[0]"),
        ("7", "roles.clerk.members[0]"),
    ],
)
def test_what_is_no_member_is_named_with_its_place(member: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text(member), source="x")
    assert [it.path for it in caught.value.problems] == [path]


@pytest.mark.parametrize(
    ("before", "after", "wider"),
    [
        (timed("user:alice"), '"user:alice"', True),
        (timed("user:alice"), timed("user:alice").replace("2026", "2027"), True),
        (timed("user:alice").replace("2026", "2027"), timed("user:alice"), False),
        ('"user:alice"', timed("user:alice"), False),
    ],
)
def test_a_later_end_is_wider(before: str, after: str, wider: bool) -> None:
    old, new = load(text(before), source="a"), load(text(after), source="b")
    found = widenings(old, {}, new, {})
    assert found == (["`user:alice` may use `desk/search`"] if wider else [])
