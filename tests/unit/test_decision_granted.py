"""Grants: for one user or agent, for a time, and never beyond ceiling, scope or forbid."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Principal, Reason
from bascule.decision.granted import Granted
from bascule.decision.problems import PolicyError
from bascule.decision.snapshot import Snapshot, build_snapshot, with_gates, with_grants

NOW = UnixTime(1_764_000_000)
END = UnixTime(NOW + 3600)
CONFIG = Config(
    connectors={
        "desk": Connector(url="https://desk.example/mcp", mode="observe"),
        "shop": Connector(url="https://shop.example/mcp", mode="observe"),
    },
    toolsets={"desk:read": ("desk/get_*",)},
    roles={"clerk": Role(members=("user:carol",), allow=("desk/search",))},
    agents=Agents(default_ceiling=("desk/*",), ceilings={"narrow": ("desk/search",)}),
)
ALICE = Principal("user:alice", "app", scopes=frozenset({"mcp:desk"}))
CALL = CallFacts(ALICE, "desk", "tools/call", "tool", "search", NOW)
SEARCH = Granted("1", "user:alice", None, ("desk/search",), END)


def snapshot(*grants: Granted, cedar: str = "") -> Snapshot:
    return build_snapshot(CONFIG, {"p.cedar": cedar}, grants=grants)


def by(facts: CallFacts = CALL, **changes: Any) -> CallFacts:
    return replace(facts, principal=replace(facts.principal, **changes))


def reason(facts: CallFacts, *grants: Granted, cedar: str = "") -> Reason:
    decision: Decision = decide(facts, snapshot(*grants, cedar=cedar))
    return decision.reason


def test_a_grant_gives_its_user_what_it_names() -> None:
    assert decide(CALL, snapshot()) == Denied(Reason.NO_USER_RIGHT)
    allowed = decide(CALL, snapshot(SEARCH))
    assert isinstance(allowed, Allowed)
    assert "grant:1/desk/search" in allowed.policies


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, name="delete"),
        replace(by(scopes=frozenset({"mcp:shop"})), connector="shop"),
        by(user="user:bob"),
        by(user=None),
        replace(CALL, now=END),
        replace(CALL, now=UnixTime(END + 10**9)),
    ],
    ids=[
        "another tool",
        "another connector",
        "bob",
        "the agent alone",
        "over",
        "long over",
    ],
)
def test_and_nothing_else(other: CallFacts) -> None:
    assert isinstance(decide(other, snapshot(SEARCH)), Denied)


def test_it_is_over_to_the_second_whatever_was_asked_before() -> None:
    granted = snapshot(SEARCH)
    for now in (END - 1, END, END - 1, END):
        allowed = isinstance(decide(replace(CALL, now=now), granted), Allowed)
        assert allowed is (now < END)
        lists = decide_many(ALICE, "desk", "tool", ["search"], UnixTime(now), granted)
        ((_, listed),) = [it for batch in lists for it in batch]
        assert isinstance(listed, Allowed) is (now < END)


def test_it_lifts_no_ceiling_widens_no_scope_and_overrides_no_forbid() -> None:
    everything = Granted("1", "user:alice", None, ("desk/*",), END)
    delete = replace(CALL, name="delete")
    assert reason(delete, everything) is Reason.ALLOWED
    assert reason(by(delete, agent="narrow"), everything) is Reason.ABOVE_CEILING
    assert reason(by(delete, scopes=frozenset()), everything) is Reason.INSUFFICIENT_SCOPE
    forbid = '@id("no") forbid(principal, action, resource);'
    assert reason(delete, everything, cedar=forbid) is Reason.POLICY_FORBIDS


def test_one_that_names_an_agent_counts_through_that_agent_alone() -> None:
    bound = replace(SEARCH, agent="app")
    assert reason(CALL, bound) is Reason.ALLOWED
    assert reason(by(agent="other"), bound) is Reason.NO_USER_RIGHT
    assert reason(by(user=None), bound) is Reason.NO_AGENT_RIGHT


def test_one_without_a_user_lets_the_agent_act_by_itself() -> None:
    alone = Granted("1", None, "app", ("desk/search",), END)
    job = by(user=None)
    assert reason(job, alone) is Reason.ALLOWED
    assert reason(CALL, alone) is Reason.NO_USER_RIGHT
    assert reason(by(job, agent="other"), alone) is Reason.NO_AGENT_RIGHT
    assert reason(replace(job, now=END), alone) is Reason.NO_AGENT_RIGHT


@pytest.mark.parametrize("entry", ["desk:read", "desk/get_*", "desk/*", "desk/get_one"])
def test_entries_are_those_of_roles(entry: str) -> None:
    granted = Granted("1", "user:alice", None, (entry,), END)
    assert reason(replace(CALL, name="get_one"), granted) is Reason.ALLOWED
    assert reason(replace(CALL, name="get_one", now=END), granted) is not Reason.ALLOWED


def test_one_that_cannot_be_read_gives_nothing_and_keeps_no_other_from_counting() -> None:
    broken = Granted("0", "user:alice", None, ("*/*", "desk/get_one"), END)
    nobody = Granted("2", None, None, ("desk/*",), END)
    granted = snapshot(broken, SEARCH, nobody)
    assert isinstance(decide(CALL, granted), Allowed)
    assert isinstance(decide(replace(CALL, name="get_one"), granted), Allowed)
    assert isinstance(decide(replace(CALL, name="delete"), granted), Denied)


def test_others_are_remembered_and_the_one_who_was_granted_something_is_not() -> None:
    granted = snapshot(SEARCH)
    carol = by(user="user:carol")
    assert isinstance(decide(carol, granted), Allowed)
    assert isinstance(decide(CALL, granted), Allowed)
    assert granted.memo.names((carol.principal, "desk", "tools/call", "tool"))
    assert granted.memo.names((ALICE, "desk", "tools/call", "tool")) is None


def test_what_comes_and_goes_is_in_force_at_once() -> None:
    before = snapshot()
    assert isinstance(decide(CALL, before), Denied)
    granted = with_grants(before, (SEARCH,))
    assert isinstance(decide(CALL, granted), Allowed)
    assert isinstance(decide(CALL, with_gates(granted, before.gates)), Allowed)
    ended = with_grants(granted, ())
    assert isinstance(decide(CALL, ended), Denied)
    assert (before.digest, before.policies) == (ended.digest, ended.policies)


def test_a_digest_tells_grants_apart_and_that_of_rights_does_not() -> None:
    before = snapshot()
    after = with_grants(before, (SEARCH,))
    longer = with_grants(before, (replace(SEARCH, expires_at=UnixTime(END + 1)),))
    assert len({before.digest, after.digest, longer.digest}) == 3
    assert before.rights_digest == after.rights_digest
    assert with_grants(after, (SEARCH,)) is after


def test_what_a_policy_could_be_taken_for_a_grant_by_is_refused() -> None:
    with pytest.raises(PolicyError, match="made from"):
        snapshot(cedar='@id("grant:1/desk/*") permit(principal, action, resource);')
