"""Explanations: what decided, what nearly did, and which fact was missing."""

from __future__ import annotations

import json

import cedarpy
import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.conditions import conjuncts, paths, text_of
from bascule.decision.decide import decide
from bascule.decision.explain import Explanation, answers_of, explain
from bascule.decision.facts import Allowed, CallFacts, Principal, Reason
from bascule.decision.gate import without_approval
from bascule.decision.snapshot import build_snapshot
from bascule.decision.words import ARGUMENTS_UNKNOWN, SENTENCES

NOW = UnixTime(1_764_000_000)  # 2025-11-24T16:00:00Z
CONFIG = Config(
    connectors={
        "files": Connector(url="https://files.example/mcp", mode="observe"),
        "shut": Connector(url="https://shut.example/mcp"),
    },
    toolsets={"files:read": ("files/read", "files/stat")},
    roles={
        "reader": Role(members=("group:readers",), allow=("files:read",)),
        "admin": Role(members=("user:root", "group:admins"), allow=("files/*",)),
        "job": Role(members=("agent:job",), allow=("files/read",)),
    },
    agents=Agents(default_ceiling=("files/read",), ceilings={"desk": ("files/*",)}),
    scopes={"files.read": ("files:read",)},
)
CEDAR = {
    "x.cedar": """
@id("docs-only") forbid(principal is Mcp::User, action == Mcp::Action::"call_tool",
    resource == Mcp::Tool::"files/read")
unless { context.args has path && context.args.path like "/docs/*" };
@id("by-night") permit(principal == Mcp::User::"owl", action in Mcp::Action::"use",
    resource in Mcp::Server::"files")
when { context has user && context.now.toTime() > duration("20h") };
"""
}
SNAPSHOT = build_snapshot(CONFIG, CEDAR)
ALICE = Principal(
    user="user:alice",
    agent="desk",
    groups=frozenset({"group:readers"}),
    scopes=frozenset({"mcp:files"}),
)
READ = CallFacts(
    ALICE, "files", "tools/call", "tool", "read", NOW, arguments={"path": "/docs/a"}
)


def explained(facts: CallFacts) -> Explanation:
    found = explain(facts, SNAPSHOT, CONFIG)
    assert found.decision == decide(facts, build_snapshot(CONFIG, CEDAR))
    return found


def near(found: Explanation, which: int) -> dict[str, str]:
    return {it.policy: it.missing for it in found.asked[which].nearly}


def test_each_question_is_told_with_what_decided() -> None:
    found = explained(READ)
    assert found.summary == SENTENCES[Reason.ALLOWED]
    assert [(it.who, it.answer, it.policies) for it in found.asked] == [
        ("user:alice", "yes", ("role:reader/files:read",)),
        ("agent desk", "yes", ("ceiling:desk/files/*",)),
        ("token", "yes", ("scope:mcp:files/files/*",)),
    ]
    assert found.missing == ()


def test_a_forbid_that_nearly_applied_is_told_with_its_condition() -> None:
    assert near(explained(READ), 0) == {
        "docs-only": "forbids only when "
        '`!((context.args has path) && (context.args.path like "/docs/*"))` '
        '(context.args.path is "/docs/a")'
    }


def test_a_forbid_that_applies_decides() -> None:
    found = explained(replace(READ, arguments={"path": "/etc/passwd"}))
    assert found.summary == SENTENCES[Reason.POLICY_FORBIDS]
    assert (found.asked[0].answer, found.asked[0].policies) == ("forbidden", ("docs-only",))
    assert (
        near(found, 0)["role:reader/files:read"] == "it holds, and what forbids counts more"
    )
    assert found.missing == (
        "another fact: `docs-only` applies: "
        '`!((context.args has path) && (context.args.path like "/docs/*"))` '
        '(context.args.path is "/etc/passwd")',
    )


def test_arguments_of_others_count_and_are_not_told() -> None:
    for path in ("/etc/secret", "/docs/secret"):
        facts = replace(READ, arguments={"path": path})
        found = explain(facts, SNAPSHOT, CONFIG, values=False)
        assert found.decision == decide(facts, SNAPSHOT)
        told = json.dumps([to_builtins(found.asked), found.missing])
        assert "context.args.path like" in told
        assert "secret" not in told


def test_a_missing_role_is_told_with_its_members() -> None:
    found = explained(replace(READ, name="write"))
    assert found.asked[0].answer == "no"
    assert near(found, 0) == {
        "role:reader/files:read": "it is for `files:read`",
        "role:admin/files/*": "it is for role `admin`, whose members are `user:root`, "
        "`group:admins`",
        "by-night": "it is for user `owl`",
    }
    assert found.missing == ("`user:alice` needs a role that covers `files/write`",)


def test_facts_without_groups_are_asked_for_them() -> None:
    found = explained(replace(READ, principal=replace(ALICE, groups=frozenset())))
    assert found.missing[1] == "the facts name no groups: if the user has some, say which"


def test_a_condition_that_is_not_met_is_told_with_the_fact() -> None:
    owl = replace(ALICE, user="user:owl", groups=frozenset())
    found = explained(replace(READ, principal=owl, name="write"))
    assert near(found, 0)["by-night"] == (
        'permits only when `context.now.toTime() > duration("20h")` '
        '(context.now is "2025-11-24T16:00:00Z")'
    )


def test_a_ceiling_and_a_scope_are_told() -> None:
    low = replace(ALICE, agent="low", scopes=frozenset({"files.read"}), user="user:root")
    found = explained(replace(READ, principal=low, name="write"))
    assert [it.answer for it in found.asked] == ["yes", "no", "no"]
    assert near(found, 1) == {
        "ceiling:*/files/read": "it is for `files/read`",
        "ceiling:desk/files/*": "it is for agent `desk`",
    }
    assert near(found, 2) == {
        "scope:files.read/files:read": "it is for `files:read`",
        "scope:mcp:files/files/*": "it is for scope `mcp:files`",
    }
    assert found.missing == (
        "the ceiling of `low` needs an entry that covers `files/write`",
    )
    narrow = replace(low, agent="desk")
    found = explained(replace(READ, principal=narrow, name="write"))
    assert found.missing == ("the token needs a scope: `mcp:files`",)


def test_an_agent_by_itself_is_told_so() -> None:
    found = explained(replace(READ, principal=replace(ALICE, user=None)))
    assert found.asked[0].who == "agent desk by itself"
    assert near(found, 0) == {"role:job/files/read/agent:job": "it is for agent `job`"}
    (missing,) = found.missing
    assert missing.startswith("`agent:desk` needs to be a member of a role")


def test_arguments_that_are_not_known_are_missing() -> None:
    found = explained(replace(READ, arguments=None))
    assert found.summary == SENTENCES[ARGUMENTS_UNKNOWN]
    assert found.asked[0].answer == "depends"
    assert "context.args.path is not known" in near(found, 0)["docs-only"]
    assert found.missing[0] == "the arguments: policies look at `path`"
    instance = found.missing[1].removeprefix("for instance, it is allowed with `")
    arguments = json.loads(instance.removesuffix("`"))
    assert isinstance(decide(replace(READ, arguments=arguments), SNAPSHOT), Allowed)


def test_without_an_instance_nobody_has_shown_any() -> None:
    odd = {
        "x.cedar": '@id("odd") forbid(principal is Mcp::User, '
        'action == Mcp::Action::"call_tool", resource) unless { context.args.a == '
        "context.args.b && context.args.a * 3 == context.args.b + 8 };"
    }
    snapshot = build_snapshot(CONFIG, odd)
    found = explain(replace(READ, arguments=None), snapshot, CONFIG)
    assert found.missing == (
        "the arguments: policies look at `a`, `b`",
        "nobody has shown that there are arguments with which it is allowed",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"connector": "nowhere"},
        {"method": "tools/run"},
        {"method": "tools/list", "kind": "none", "name": ""},
        {"kind": "prompt"},
        {"principal": replace(ALICE, user="alice")},
    ],
)
def test_what_no_policy_is_asked_about_has_a_reason_all_the_same(
    changes: dict[str, object],
) -> None:
    found = explained(replace(READ, **changes))
    assert found.asked == ()
    assert found.summary in SENTENCES.values()


def test_what_is_not_approved_says_what_to_do() -> None:
    found = explained(replace(READ, connector="shut"))
    gate = without_approval("enforce")
    assert gate is not None
    assert found.missing == (f"the approval of `shut`: {gate.problem}",)


def test_what_another_mode_would_deny_for_is_told() -> None:
    snapshot = build_snapshot(
        CONFIG, CEDAR, {"files": without_approval("warn"), "shut": None}
    )
    found = explain(READ, snapshot, CONFIG)
    assert found.summary == SENTENCES[Reason.ALLOWED]
    assert found.missing == (
        f"what `enforce` would deny for: {SENTENCES[Reason.NOT_APPROVED]}",
        "the approval of `files`: it is in no lock file",
    )


def test_every_reason_has_a_sentence() -> None:
    assert {*SENTENCES} == {*Reason, ARGUMENTS_UNKNOWN}


def test_answers_are_those_of_the_decision() -> None:
    assert [it.verdict.allows for it in answers_of(READ, SNAPSHOT)] == [True, True, True]


@pytest.mark.parametrize(
    ("written", "told", "looked_at"),
    [
        ("context has user", "context has user", [("context", "user")]),
        (
            'context.args.path like "/d(o)cs/*\\"(x)"',
            'context.args.path like "/d(o)cs/*\\"(x)"',
            [("context", "args", "path")],
        ),
        (
            '["a","(b)"].contains(resource.name)',
            '["a", "(b)"].contains(resource.name)',
            [("resource", "name")],
        ),
        (
            'context.now.toTime() > duration("7h")',
            'context.now.toTime() > duration("7h")',
            [("context", "now")],
        ),
        (
            "(if context.args.n > 3 then true else false)",
            "if (context.args.n > 3) then true else false",
            [("context", "args", "n")],
        ),
    ],
)
def test_a_condition_reads_as_it_was_written(
    written: str, told: str, looked_at: list[tuple[str, ...]]
) -> None:
    text = f"permit(principal, action, resource) when {{ {written} }};"
    (policy,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    (expression,) = conjuncts(policy["conditions"])
    assert text_of(expression) == told
    assert list(paths(expression)) == looked_at


def test_conditions_come_apart_in_their_order() -> None:
    head = "permit(principal, action, resource)"
    text = f"{head} when {{ true && false && true }} unless {{ true }};"
    (policy,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    told = [text_of(it) for it in conjuncts(policy["conditions"])]
    assert told == ["true", "false", "true", "!true"]
