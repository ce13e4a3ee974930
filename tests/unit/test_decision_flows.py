"""Flows close what they name to who has touched what they name; rates run out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import (
    Agents,
    CallApprovalRule,
    Config,
    Connector,
    Flow,
    Rate,
    Role,
)
from bascule.decision.concerns import Concern
from bascule.decision.decide import decide
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Consent,
    Decision,
    Denied,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.flows import windows_of
from bascule.decision.rates import NamedRate
from bascule.decision.snapshot import Snapshot, build_snapshot, policy_problems

NOW = UnixTime(1_764_000_000)
ALICE = Principal(
    user="user:alice", agent="desk", scopes=frozenset({"mcp:web", "mcp:mail", "mcp:files"})
)
TRIFECTA = {
    "labels": {
        "untrusted-content": ("web/*", "mail/read"),
        "private-data": ("files/*",),
        "egress": (
            "mail/send*",
            "web/fetch",
            "files/resource:https://*",
            "files/prompt:post",
        ),
    },
    "flows": {"lethal": Flow(after=("untrusted-content",), close=("egress",))},
}


def config(**more: Any) -> Config:
    everything = ("web/*", "mail/*", "files/*")
    return Config(
        connectors={
            name: Connector(url=f"https://{name}.example/mcp", mode="observe")
            for name in ("web", "mail", "files")
        },
        agents=Agents(default_ceiling=everything),
        **{"roles": {"all": Role(("user:alice",), everything)}, **TRIFECTA, **more},
    )


def call(name: str, *touched: str, kind: str = "tool", **more: Any) -> CallFacts:
    connector, _, name = name.partition("/")
    method = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}
    return CallFacts(
        ALICE,
        connector,
        method[kind],
        kind,  # type: ignore[arg-type]
        name,
        NOW,
        **{"arguments": {}, "touched": frozenset(touched), **more},
    )


def reason(decision: Decision) -> Reason:
    assert not isinstance(decision, Maybe)
    return decision.reason


def after_all(*labels: str, after: tuple[str, ...] = ()) -> Snapshot:
    flow = Flow(after=after, after_all=labels, close=("egress",))
    return build_snapshot(config(flows={"lethal": flow}), {})


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return build_snapshot(config(), {})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tool", "mail/send"),
        ("tool", "mail/send_many"),
        ("tool", "web/fetch"),
        ("resource", "files/https://a.example/?q=1"),
        ("prompt", "files/post"),
    ],
)
def test_a_flow_closes_what_has_its_label_until_the_window_is_over(
    kind: str, name: str, snapshot: Snapshot
) -> None:
    assert reason(decide(call(name, kind=kind), snapshot)) is Reason.ALLOWED
    closed = decide(call(name, "untrusted-content", kind=kind), snapshot)
    assert isinstance(closed, Denied)
    assert closed.reason is Reason.FLOW_CLOSED
    assert closed.detail
    assert all(it.startswith("flow:lethal/") for it in closed.policies)


def test_a_flow_closes_nothing_else(snapshot: Snapshot) -> None:
    for name in ("web/search", "mail/read", "files/read", "mail/Send"):
        assert reason(decide(call(name, "untrusted-content"), snapshot)) is Reason.ALLOWED


def test_other_labels_close_nothing(snapshot: Snapshot) -> None:
    assert reason(decide(call("mail/send", "private-data"), snapshot)) is Reason.ALLOWED


def test_after_all_waits_for_each_of_its_labels() -> None:
    both = ("private-data", "untrusted-content")
    snapshot = after_all(*both)
    for label in both:
        assert reason(decide(call("mail/send", label), snapshot)) is Reason.ALLOWED
    assert reason(decide(call("mail/send", *both), snapshot)) is Reason.FLOW_CLOSED


def test_after_and_after_all_each_close() -> None:
    snapshot = after_all("private-data", "untrusted-content", after=("egress",))
    assert reason(decide(call("mail/send", "egress"), snapshot)) is Reason.FLOW_CLOSED
    assert reason(decide(call("mail/send", "private-data"), snapshot)) is Reason.ALLOWED


def test_while_it_is_not_known_what_was_touched_it_depends(snapshot: Snapshot) -> None:
    asked = decide(replace(call("mail/send"), arguments=None), snapshot)
    assert isinstance(asked, Maybe)


def test_who_has_no_right_learns_of_no_flow(snapshot: Snapshot) -> None:
    mallory = replace(ALICE, user="user:mallory")
    facts = replace(call("mail/send", "untrusted-content"), principal=mallory)
    assert decide(facts, snapshot) == Denied(Reason.NO_USER_RIGHT)


def test_an_agent_by_itself_is_closed_out_as_well() -> None:
    job = Role(members=("agent:job",), allow=("mail/*",))
    snapshot = build_snapshot(config(roles={"job": job}), {})
    alone = Principal(user=None, agent="job", scopes=frozenset({"mcp:mail"}))
    for touched, expected in ((), Reason.ALLOWED), (("untrusted-content",), None):
        facts = replace(call("mail/send", *touched), principal=alone)
        assert reason(decide(facts, snapshot)) is (expected or Reason.FLOW_CLOSED)


def test_a_forbid_of_ones_own_ranks_before_a_flow() -> None:
    own = '@id("never") forbid(principal, action, resource == Mcp::Tool::"mail/send");'
    snapshot = build_snapshot(config(), {"a.cedar": own})
    decision = decide(call("mail/send", "untrusted-content"), snapshot)
    assert reason(decision) is Reason.POLICY_FORBIDS


def test_nothing_that_was_remembered_outlives_a_touch(snapshot: Snapshot) -> None:
    for touched, expected in [
        ((), Reason.ALLOWED),
        (("untrusted-content",), Reason.FLOW_CLOSED),
        ((), Reason.ALLOWED),
    ]:
        assert reason(decide(call("mail/send_memo", *touched), snapshot)) is expected


def test_a_toolset_has_a_label_by_its_members() -> None:
    snapshot = build_snapshot(
        config(
            toolsets={"mail:out": ("mail/send", "mail/forward")},
            labels={"untrusted-content": ("web/*",), "egress": ("mail:out", "mail/send")},
        ),
        {},
    )
    for name in ("mail/send", "mail/forward"):
        closed = decide(call(name, "untrusted-content"), snapshot)
        assert reason(closed) is Reason.FLOW_CLOSED


def test_most_uses_concern_no_flow(snapshot: Snapshot) -> None:
    of, opens = snapshot.concerns.of, {"untrusted-content": 30 * 60}
    assert of("files", "tool", "read") is None
    assert of("mail", "tool", "other") is None
    assert of("mail", "tool", "send") == Concern(asks=True, opens={}, rates=())
    assert of("web", "tool", "search") == Concern(asks=False, opens=opens, rates=())
    assert of("web", "tool", "fetch") == Concern(asks=True, opens=opens, rates=())


def test_policies_of_ones_own_may_read_what_was_touched() -> None:
    own = """
      @id("no-files-after-web")
      forbid(principal is Mcp::User, action == Mcp::Action::"call_tool", resource)
      when { resource.connector == "files" }
      when { context.touched.contains("untrusted-content") };
    """
    flow = Flow(after=("untrusted-content",), minutes=5)
    snapshot = build_snapshot(config(flows={"mine": flow}), {"a.cedar": own})
    asks = Concern(asks=True, opens={}, rates=())
    assert snapshot.concerns.of("files", "tool", "read") == asks
    closed = decide(call("files/read", "untrusted-content"), snapshot)
    assert reason(closed) is Reason.POLICY_FORBIDS
    assert reason(decide(call("files/read"), snapshot)) is Reason.ALLOWED


def test_ids_that_begin_with_flow_are_ours() -> None:
    own = '@id("flow:x") forbid(principal, action, resource);'
    found = policy_problems(config(), {"a.cedar": own})
    assert [it.severity for it in found if it.file == "a.cedar"] == ["error"]


def test_windows_are_of_the_labels_that_begin_a_flow() -> None:
    flows = {
        "a": Flow(after=("x",), close=("z",), minutes=5),
        "b": Flow(after_all=("x", "y"), close=("z",), minutes=5),
    }
    assert windows_of(flows) == {"x": 300, "y": 300}


def rated(**more: Any) -> Snapshot:
    rate = Rate(of=("mail/send*",), calls=3, **more)
    return build_snapshot(config(rates={"mail": rate}, flows={}), {})


def rate_of(snapshot: Snapshot, name: str = "send") -> NamedRate:
    concern = snapshot.concerns.of("mail", "tool", name)
    assert concern is not None
    (rate,) = concern.rates
    assert concern == Concern(asks=False, opens={}, rates=(rate,))
    return rate


def test_a_rate_that_is_used_up_denies_what_it_counts_and_says_until_when() -> None:
    decision = decide(call("mail/send", spent={"mail": UnixTime(0)}), rated())
    assert decision == Denied(
        Reason.LIMIT_REACHED,
        ("rate:mail",),
        detail="no calls are left until 1970-01-01 00:00 UTC",
        until=UnixTime(0),
    )


def test_a_rate_is_asked_last() -> None:
    mallory = replace(ALICE, user="user:mallory")
    facts = replace(call("mail/send", spent={"mail": NOW}), principal=mallory)
    assert decide(facts, rated()) == Denied(Reason.NO_USER_RIGHT)


def test_a_rate_concerns_what_it_names() -> None:
    snapshot = rated()
    assert rate_of(snapshot, "send_many").name == "mail"
    assert snapshot.concerns.of("mail", "tool", "read") is None


BOB = replace(ALICE, user="user:bob")


@pytest.mark.parametrize(
    ("by", "apart"),
    [
        ((), set()),
        (("user",), {"bob"}),
        (("agent",), {"phone"}),
        (("tool",), {"many"}),
        (("user", "agent"), {"bob", "phone"}),
        (("tool", "user", "agent", "user"), {"bob", "phone", "many"}),
    ],
)
def test_a_rate_counts_apart_what_it_says(by: tuple[str, ...], apart: set[str]) -> None:
    rate = rate_of(rated(by=by))
    facts = call("mail/send")
    others = {
        "bob": replace(facts, principal=BOB),
        "phone": replace(facts, principal=replace(ALICE, agent="phone")),
        "many": replace(facts, name="send_many"),
    }
    own = rate.share_of(facts).holder_hash
    assert {
        name for name, it in others.items() if rate.share_of(it).holder_hash != own
    } == (apart)


@pytest.mark.parametrize(
    ("per", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86400)]
)
def test_a_period_is_one_of_the_clock(per: str, seconds: int) -> None:
    rate = rate_of(rated(per=per))
    start = NOW - NOW % seconds
    for now in (start, start + 1, start + seconds - 1):
        share = rate.share_of(replace(call("mail/send"), now=UnixTime(now)))
        assert share.ends_at == start + seconds


def test_names_cannot_be_put_together_to_be_another_holder() -> None:
    rate = rate_of(rated())
    alone = replace(ALICE, user=None)
    named = replace(ALICE, user="null")
    hashes = {
        rate.share_of(replace(call("mail/send"), principal=it)).holder_hash
        for it in (
            ALICE,
            alone,
            named,
            replace(ALICE, user='user:alice","agent":"desk', agent=""),
        )
    }
    assert len(hashes) == 4


def test_a_call_without_flows_and_rates_is_allowed_as_before() -> None:
    snapshot = build_snapshot(config(flows={}), {})
    assert snapshot.concerns.of("mail", "tool", "send") is None
    assert isinstance(decide(call("mail/send", "untrusted-content"), snapshot), Allowed)


@pytest.mark.parametrize(("rule", "expected"), [("", "default"), ("leads", "leads")])
def test_a_flow_may_have_a_person_asked_instead(rule: str, expected: str) -> None:
    leads = CallApprovalRule(approvers=("user:lead",))
    flow = Flow(after=("untrusted-content",), close=("egress",), then="approve", rule=rule)
    asking = config(flows={"ask": flow}, call_approvals={"leads": leads})
    snapshot = build_snapshot(asking, {})
    assert reason(decide(call("mail/send"), snapshot)) is Reason.ALLOWED
    facts = call("mail/send", "untrusted-content")
    waits = decide(facts, snapshot)
    assert isinstance(waits, Denied)
    assert waits.reason is Reason.APPROVAL_REQUIRED
    assert waits.call is not None
    assert waits.call.rules == (expected,)
    consent = Consent(waits.call.binding, ("user:lead",))
    assert reason(decide(replace(facts, consent=consent), snapshot)) is Reason.ALLOWED


def test_what_nobody_can_approve_stays_closed() -> None:
    flow = Flow(after=("untrusted-content",), close=("egress",), then="approve")
    snapshot = build_snapshot(config(flows={"ask": flow}), {})
    for kind, name in (("prompt", "files/post"), ("resource", "files/https://a.example/")):
        closed = decide(call(name, "untrusted-content", kind=kind), snapshot)
        assert isinstance(closed, Denied)
        assert closed.call is None
