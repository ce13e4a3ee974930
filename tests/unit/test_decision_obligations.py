"""Calls that wait for a person: what demands that, and what a consent is good for."""

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
    Role,
)
from bascule.decision.consent import digest_of
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    CallToApprove,
    Consent,
    Denied,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.problems import PolicyError
from bascule.decision.snapshot import Snapshot, build_snapshot, with_gates

NOW = UnixTime(1_764_000_000)
CONFIG = Config(
    connectors={
        "tickets": Connector(url="https://tickets.example/mcp", mode="observe"),
        "files": Connector(command=("x",), mode="observe"),
    },
    toolsets={"tickets:write": ("tickets/close", "tickets/delete")},
    roles={
        "staff": Role(
            members=("user:alice", "user:bob"),
            allow=("tickets/close", "tickets/delete", "tickets/get", "tickets/prompt:*"),
        )
    },
    agents=Agents(default_ceiling=("tickets/*",)),
    call_approvals={
        "second": CallApprovalRule(approvers=("user:carol",)),
        "writes": CallApprovalRule(approvers=("group:leads",)),
    },
)
ALICE = Principal("user:alice", "desk", scopes=frozenset({"mcp:tickets"}))
DELETE = CallFacts(
    ALICE, "tickets", "tools/call", "tool", "delete", NOW, arguments={"id": 7}
)
ASKS = """
@id("ask") @obligation("approve:second")
forbid(principal, action == Mcp::Action::"call_tool",
       resource == Mcp::Tool::"tickets/delete");
"""


def snapshot(*cedar: str, config: Config = CONFIG) -> Snapshot:
    return build_snapshot(config, {f"{n}.cedar": text for n, text in enumerate(cedar)})


def to_approve(facts: CallFacts, policies: Snapshot) -> CallToApprove:
    decision = decide(facts, policies)
    assert isinstance(decision, Denied), decision
    assert decision.reason is Reason.APPROVAL_REQUIRED
    assert decision.call is not None
    return decision.call


def approved(facts: CallFacts, policies: Snapshot) -> CallFacts:
    return replace(facts, consent=Consent(to_approve(facts, policies).binding))


def test_a_call_waits_and_passes_with_its_consent() -> None:
    policies = snapshot(ASKS)
    call = to_approve(DELETE, policies)
    assert call.rules == ("second",)
    assert call.arguments == b'{"id":7}'
    assert call.arguments_digest == digest_of(call.arguments)
    allowed = decide(approved(DELETE, policies), policies)
    assert isinstance(allowed, Allowed)
    assert "role:staff/tickets/delete" in allowed.policies
    assert allowed.arguments == {"id": 7}
    assert allowed.obligations == (("second", "ask"),)


def test_other_calls_do_not_wait() -> None:
    assert isinstance(decide(replace(DELETE, name="get"), snapshot(ASKS)), Allowed)


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"id": 8}},
        {"arguments": {"id": 7, "force": True}},
        {"arguments": {}},
        {"principal": replace(ALICE, user="user:bob")},
        {"principal": replace(ALICE, agent="other")},
        {"definition": "d" * 64},
    ],
)
def test_a_consent_is_for_one_call_alone(changes: dict[str, Any]) -> None:
    policies = snapshot(ASKS)
    facts = replace(approved(DELETE, policies), **changes)
    decision = decide(facts, policies)
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.APPROVAL_REQUIRED


def test_a_consent_ends_with_the_policies_under_which_it_was_given() -> None:
    facts = approved(DELETE, snapshot(ASKS))
    changed = replace_rule(CONFIG, CallApprovalRule(approvers=("user:mallory",)))
    assert isinstance(decide(facts, snapshot(ASKS)), Allowed)
    assert isinstance(decide(facts, snapshot(ASKS, config=changed)), Denied)


def test_a_consent_is_for_the_server_that_it_was_given_for() -> None:
    facts = approved(DELETE, snapshot(ASKS))
    elsewhere = Connector(url="https://evil.example/mcp", mode="observe")
    moved = replace(CONFIG, connectors={**CONFIG.connectors, "tickets": elsewhere})
    assert isinstance(decide(facts, snapshot(ASKS, config=moved)), Denied)


def test_a_rule_that_comes_to_it_later_is_not_satisfied_by_a_consent_to_others() -> None:
    stricter = (
        ASKS.replace('"ask"', '"touched"')
        .replace("second", "writes")
        .replace(";\n", ' when { context.touched.contains("web") };\n')
    )
    policies = snapshot(ASKS, stricter)
    facts = approved(DELETE, policies)
    assert isinstance(decide(facts, policies), Allowed)
    after = replace(facts, touched=frozenset({"web"}))
    call = to_approve(after, policies)
    assert call.rules == ("second", "writes")
    consented = replace(after, consent=Consent(call.binding))
    assert isinstance(decide(consented, policies), Allowed)
    # And what was approved by both is not taken for another question either.
    assert isinstance(decide(replace(consented, touched=frozenset()), policies), Denied)


def replace_rule(config: Config, rule: CallApprovalRule) -> Config:
    return replace(config, call_approvals={**config.call_approvals, "second": rule})


def test_scopes_and_groups_may_change_meanwhile() -> None:
    """They are looked at anew with each call; a refreshed token is the same caller."""
    policies = snapshot(ASKS)
    facts = approved(DELETE, policies)
    wider = replace(ALICE, groups=frozenset({"group:x"}))
    assert isinstance(decide(replace(facts, principal=wider), policies), Allowed)
    without = replace(ALICE, scopes=frozenset())
    decision = decide(replace(facts, principal=without), policies)
    assert decision == Denied(Reason.INSUFFICIENT_SCOPE, scopes=("mcp:tickets",))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(DELETE, principal=replace(ALICE, user="user:eve")), Reason.NO_USER_RIGHT),
        (
            replace(DELETE, principal=replace(ALICE, scopes=frozenset())),
            "insufficient_scope",
        ),
        (replace(DELETE, name="drop"), Reason.NO_USER_RIGHT),
    ],
)
def test_who_may_not_call_it_at_all_is_asked_for_no_approval(
    facts: CallFacts, reason: Reason
) -> None:
    everything = ASKS.replace(' == Mcp::Tool::"tickets/delete"', "")
    for consent in (None, Consent("0" * 64)):
        decision = decide(replace(facts, consent=consent), snapshot(everything))
        assert isinstance(decision, Denied)
        assert decision.reason == reason
        assert decision.call is None
        assert not decision.detail


def test_a_plain_forbid_is_not_lifted() -> None:
    policies = snapshot(ASKS)
    facts = approved(DELETE, policies)
    barred = snapshot(ASKS, '@id("bar") forbid(principal is Mcp::User, action, resource);')
    decision = decide(facts, barred)
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.POLICY_FORBIDS


def test_an_error_is_not_lifted() -> None:
    broken = """
    @id("broken") @obligation("approve:second")
    forbid(principal, action == Mcp::Action::"call_tool", resource)
    when { context.scopes.isEmpty() || 9223372036854775807 + 1 > 0 };
    """
    decision = decide(DELETE, snapshot(broken))
    assert decision == Denied(Reason.POLICY_ERROR, ("broken",))


PERMITS = """
@id("with-consent") @obligation("approve:second")
permit(principal == Mcp::User::"bob", action == Mcp::Action::"call_tool",
       resource == Mcp::Tool::"tickets/drop");
"""
BOB_DROPS = replace(DELETE, principal=replace(ALICE, user="user:bob"), name="drop")


def test_a_permit_may_count_with_consent_only() -> None:
    policies = snapshot(PERMITS)
    assert to_approve(BOB_DROPS, policies).rules == ("second",)
    decision = decide(approved(BOB_DROPS, policies), policies)
    assert isinstance(decision, Allowed)
    assert "with-consent" in decision.policies
    eve = replace(BOB_DROPS, principal=replace(ALICE, user="user:eve"))
    assert decide(eve, policies) == Denied(Reason.NO_USER_RIGHT)


def test_a_permit_without_obligation_needs_no_consent() -> None:
    free = '@id("free") permit(principal == Mcp::User::"bob", action, resource);'
    assert isinstance(decide(BOB_DROPS, snapshot(PERMITS, free)), Allowed)


def test_of_several_permits_one_is_enough() -> None:
    other = PERMITS.replace("with-consent", "other").replace(":second", ":writes")
    assert to_approve(BOB_DROPS, snapshot(PERMITS, other)).rules == ("second",)
    asks = ASKS.replace(":second", ":writes").replace("delete", "drop")
    assert to_approve(BOB_DROPS, snapshot(PERMITS, other, asks)).rules == ("writes",)


def test_all_rules_that_forbids_name_must_be_met() -> None:
    other = ASKS.replace('"ask"', '"ask-too"').replace(":second", "")
    call = to_approve(DELETE, snapshot(ASKS, other))
    assert call.rules == ("default", "second")
    decision = decide(DELETE, snapshot(ASKS, other))
    assert isinstance(decision, Denied)
    assert decision.policies == ("ask-too", "ask")


def test_what_waits_is_listed() -> None:
    policies = snapshot(ASKS)
    unknown = replace(DELETE, arguments=None)
    assert isinstance(decide(unknown, policies), Maybe)
    names = ("delete", "get", "drop")
    listed = {
        name: type(decision)
        for batch in decide_many(ALICE, "tickets", "tool", names, NOW, policies)
        for name, decision in batch
    }
    assert listed == {"delete": Maybe, "get": Allowed, "drop": Denied}


def test_what_only_consent_permits_is_listed_for_whom_it_is_for() -> None:
    policies = snapshot(PERMITS)
    for user, kind in (("user:bob", Maybe), ("user:alice", Denied)):
        principal = replace(ALICE, user=user)
        ((_, decision),) = next(
            iter(decide_many(principal, "tickets", "tool", ("drop",), NOW, policies))
        )
        assert isinstance(decision, kind)


def test_arguments_that_cannot_be_shown_cannot_be_approved() -> None:
    decision = decide(replace(DELETE, arguments={"id": 2**53}), snapshot(ASKS))
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.INVALID_ARGUMENTS
    assert decision.call is None
    assert str(2**53) not in decision.detail


def test_an_agent_by_itself_can_be_made_to_wait() -> None:
    config = replace(
        CONFIG, roles={"jobs": Role(members=("agent:night",), allow=("tickets/delete",))}
    )
    job = replace(DELETE, principal=replace(ALICE, user=None, agent="night"))
    policies = snapshot(ASKS, config=config)
    assert isinstance(decide(approved(job, policies), policies), Allowed)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (ASKS.replace("approve:second", "audit"), "is not known"),
        (ASKS.replace("approve:second", "approved"), "is not known"),
        (ASKS.replace("approve:second", ""), "is not known"),
        (ASKS.replace("second", "third"), "rule `third`"),
        (ASKS.replace(' == Mcp::Action::"call_tool"', ""), "calls of tools"),
        (
            ASKS.replace("call_tool", "get_prompt").replace("Tool", "Prompt"),
            "calls of tools",
        ),
    ],
)
def test_an_obligation_that_means_nothing_is_an_error(policy: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        snapshot(policy)


def with_rule(rule: CallApprovalRule, mode: Any = "observe") -> Snapshot:
    connectors = {name: replace(it, mode=mode) for name, it in CONFIG.connectors.items()}
    return snapshot(
        config=replace(CONFIG, connectors=connectors, call_approvals={"rule": rule})
    )


@pytest.mark.parametrize(
    ("tools", "waiting"),
    [
        (("tickets/delete",), {"delete"}),
        (("tickets/d*",), {"delete"}),
        (("tickets:write",), {"close", "delete"}),
        (("tickets/*",), {"close", "delete", "get"}),
        (("files/*",), set()),
        ((), set()),
    ],
)
def test_a_table_says_which_calls_wait(tools: tuple[str, ...], waiting: set[str]) -> None:
    policies = with_rule(CallApprovalRule(tools=tools))
    for name in ("close", "delete", "get"):
        decision = decide(replace(DELETE, name=name), policies)
        assert isinstance(decision, Denied) == (name in waiting)
        if isinstance(decision, Denied):
            assert decision.policies == (f"approval:rule/{tools[0]}",)
            assert decision.call is not None
            assert decision.call.rules == ("rule",)


def test_prompts_do_not_wait() -> None:
    policies = with_rule(CallApprovalRule(tools=("tickets/*",), destructive=True))
    prompt = replace(DELETE, method="prompts/get", kind="prompt", name="triage")
    assert isinstance(decide(prompt, policies), Allowed)


def test_destructive_tools_wait_and_what_nobody_described_is_destructive() -> None:
    policies = with_rule(CallApprovalRule(destructive=True))
    decision = decide(DELETE, policies)
    assert isinstance(decision, Denied)
    assert decision.policies == ("approval:rule/destructive",)
    tools = {
        "close": {"a" * 64: ToolPin(destructive=False)},
        "delete": {"b" * 64: ToolPin(destructive=False), "c" * 64: ToolPin()},
        "get": {"d" * 64: ToolPin(destructive=False, read_only=True)},
    }
    gate = Gate(
        mode="observe",
        tools=tools,
        pins={"tools": {name: frozenset(each) for name, each in tools.items()}},
    )
    described = with_gates(policies, {"tickets": gate, "files": None})
    for name, digest in (("close", "a"), ("delete", "b"), ("get", "d")):
        facts = replace(DELETE, name=name, definition=digest * 64)
        assert isinstance(decide(facts, described), Denied) == (name == "delete")


@pytest.mark.parametrize("entry", ["tickets/prompt:x", "tickets/resource:file:///x"])
def test_a_rule_for_what_is_no_tool_is_an_error(entry: str) -> None:
    with pytest.raises(PolicyError, match="is no tool"):
        with_rule(CallApprovalRule(tools=(entry,)))


def test_nobody_else_makes_policies_of_that_name() -> None:
    with pytest.raises(PolicyError, match="made from the configuration"):
        snapshot(ASKS.replace('"ask"', '"approval:second/x"'))


def test_one_spelling_of_an_argument_is_shown_bound_and_sent() -> None:
    rule = ASKS.replace(";\n", ' when { context.args.path like "/srv/*" };\n')
    schema = b'{"properties": {"path": {"type": "string"}}, "required": ["path"]}'
    digest = "d" * 64
    gate = Gate(
        mode="enforce",
        tools={"delete": {digest: ToolPin(schema=schema)}},
        pins={"tools": {"delete": frozenset({digest})}},
    )
    policies = with_gates(snapshot(rule), {"tickets": gate, "files": None})

    def at(path: str) -> CallFacts:
        return replace(DELETE, arguments={"path": path}, definition=digest)

    plain = to_approve(at("/srv/a"), policies)
    assert plain.arguments == b'{"path":"/srv/a"}'
    for path in ("/srv/./a", "/x/../srv/a", "//srv//a"):
        assert to_approve(at(path), policies) == plain
        allowed = decide(replace(at(path), consent=Consent(plain.binding)), policies)
        assert isinstance(allowed, Allowed)
        assert allowed.arguments == {"path": "/srv/a"}
    alike = to_approve(at("/srv/\u0430"), policies)  # a Cyrillic letter that looks alike
    assert alike.binding != plain.binding
    assert isinstance(decide(at("/home/a"), policies), Allowed)
