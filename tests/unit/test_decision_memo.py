"""What is remembered, and within which bounds."""

from __future__ import annotations

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Principal, Reason
from bascule.decision.memo import (
    MAX_NAME_LENGTH,
    MAX_NAMES,
    MAX_NAMES_EACH,
    Key,
    Memo,
)
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
ALICE = Principal(user="user:alice", agent="bascule-cli", scopes=frozenset({"mcp:time"}))
DENIED: Decision = Denied(Reason.NO_USER_RIGHT)


def key(user: int) -> Key:
    return (Principal(user=f"user:{user}", agent="a"), "time", "tools/call", "tool")


def time_snapshot(cedar: str = "") -> Snapshot:
    config = Config(
        connectors={"time": Connector(command=("x",), mode="observe")},
        roles={"r": Role(("user:alice",), ("time/now", "time/get_*"))},
        agents=Agents(default_ceiling=("time/*",)),
    )
    return build_snapshot(config, {"x.cedar": cedar})


def call(name: str) -> CallFacts:
    return CallFacts(ALICE, "time", "tools/call", "tool", name, NOW)


def test_the_oldest_name_of_a_caller_goes_first() -> None:
    memo = Memo()
    for n in range(MAX_NAMES_EACH + 1):
        memo.keep(key(0), f"tool{n}", DENIED)
    known = memo.names(key(0))
    assert known is not None
    assert len(known) == MAX_NAMES_EACH
    assert "tool0" not in known
    assert f"tool{MAX_NAMES_EACH}" in known


def test_the_memo_is_bounded_over_all_callers() -> None:
    memo = Memo()
    callers = 2 * MAX_NAMES // 1000
    for user in range(callers):
        for n in range(1000):
            memo.keep(key(user), f"tool{n}", DENIED)
    kept = [len(memo.names(key(user)) or ()) for user in range(callers)]
    assert sum(kept) <= MAX_NAMES
    assert kept[0] == 0
    assert kept[-1] == 1000


def test_keeping_a_name_twice_counts_once() -> None:
    memo = Memo()
    for _ in range(2 * MAX_NAMES):
        memo.keep(key(0), "tool", DENIED)
    assert memo.names(key(0)) == {"tool": DENIED}


def test_a_long_name_is_decided_and_not_kept() -> None:
    policies = time_snapshot()
    name = "get_" + "x" * MAX_NAME_LENGTH
    assert isinstance(decide(call(name), policies), Allowed)
    assert policies.memo.names((ALICE, "time", "tools/call", "tool")) is None


def test_a_decision_is_the_same_object_when_asked_again() -> None:
    policies = time_snapshot()
    assert decide(call("now"), policies) is decide(call("now"), policies)


def test_a_failed_decision_is_not_kept() -> None:
    broken = (
        '@id("x") forbid(principal, action, resource)'
        " when { 1 - 9223372036854775807 - 3 > 0 };"
    )
    policies = time_snapshot(broken)
    assert decide(call("now"), policies) == Denied(Reason.POLICY_ERROR, ("x",))
    assert policies.memo.names((ALICE, "time", "tools/call", "tool")) is None


def test_what_a_list_shared_is_not_taken_for_a_call() -> None:
    policies = time_snapshot()
    list(decide_many(ALICE, "time", "tool", ["now"], NOW, policies))
    assert policies.memo.names((ALICE, "time", "tools/call", "tool")) is None


def test_a_list_comes_in_batches_in_its_order() -> None:
    forbid = (
        '@id("x") forbid(principal, action, resource is Mcp::Tool)'
        ' when { resource.name like "*9" };'
    )
    names = [f"get_{n}" for n in range(200)]
    batches = list(decide_many(ALICE, "time", "tool", names, NOW, time_snapshot(forbid)))
    assert len(batches) > 5
    decided = [it for batch in batches for it in batch]
    assert [name for name, _ in decided] == names
    for name, decision in decided:
        assert isinstance(decision, Denied) is name.endswith("9")


def test_a_list_names_each_tools_own_policies() -> None:
    decided = dict(
        next(decide_many(ALICE, "time", "tool", ["now", "get_x"], NOW, time_snapshot()))
    )
    assert decided["now"].policies[1] == "role:r/time/now"
    assert decided["get_x"].policies[1] == "role:r/time/get_*"


def test_a_list_tells_user_agent_and_token_apart_where_a_policy_does() -> None:
    forbid = (
        '@id("x") forbid(principal, action, resource) when { principal is Mcp::Token };'
    )
    (batch,) = decide_many(ALICE, "time", "tool", ["now"], NOW, time_snapshot(forbid))
    assert batch == [("now", Denied(Reason.POLICY_FORBIDS, ("x",)))]


def test_a_list_of_an_unknown_connector_or_of_nothing_is_denied() -> None:
    policies = time_snapshot()
    assert list(decide_many(ALICE, "tim", "tool", ["now"], NOW, policies)) == [
        [("now", Denied(Reason.UNKNOWN_CONNECTOR))]
    ]
    assert list(decide_many(ALICE, "time", "none", ["now"], NOW, policies)) == [
        [("now", Denied(Reason.UNKNOWN_METHOD))]
    ]
