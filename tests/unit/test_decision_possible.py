"""What can be told of a call before its arguments are known, and what is kept back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Decision,
    Denied,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.satisfy import prove
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.identity.authorization_details import ToolCalls

NOW = UnixTime(1_764_000_000)
ALICE = Principal("user:alice", "bot", scopes=frozenset(("mcp:files",)))
CONFIG = Config(
    connectors={"files": Connector(command=("x",), mode="enforce")},
    roles={"all": Role(members=("user:alice",), allow=("files/*",))},
    agents=Agents(default_ceiling=("files/*",)),
)
SCHEMA: dict[str, Any] = {
    "properties": {
        "path": {"type": "string"},
        "mode": {"type": "string", "enum": ["fast", "slow"]},
        "depth": {"type": "integer", "minimum": 0, "maximum": 9},
        "share": {"type": "number"},
        "force": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["path", "mode", "depth", "share", "force", "tags"],
    "additionalProperties": False,
}
GOOD = {
    "path": "/srv/a",
    "mode": "fast",
    "depth": 1,
    "share": 0.5,
    "force": False,
    "tags": [],
}


def snapshot(*policies: str, schema: dict[str, Any] | None = SCHEMA) -> Snapshot:
    texts = (f'@id("p{n}") {text};\n' for n, text in enumerate(policies))
    gate = None
    if schema is not None:
        pin = {"one": ToolPin(json.dumps(schema).encode())}
        gate = Gate(
            mode="enforce",
            pins={"tools": {"read": frozenset(("one",))}},
            tools={"read": pin},
        )
    return build_snapshot(CONFIG, {"x.cedar": "".join(texts)}, {"files": gate})


def unless(condition: str) -> str:
    return (
        'forbid(principal is Mcp::User, action, resource == Mcp::Tool::"files/read") '
        f"unless {{ {condition} }}"
    )


def told(in_force: Snapshot, who: Principal = ALICE) -> Decision:
    """Give what is told without arguments, of one call as of a list."""
    facts = CallFacts(who, "files", "tools/call", "tool", "read", NOW, definition="one")
    decision = decide(facts, in_force)
    ((_, listed),) = next(decide_many(who, "files", "tool", ["read"], NOW, in_force))
    assert listed == decision
    return decision


def called(in_force: Snapshot, who: Principal = ALICE, **arguments: object) -> Decision:
    facts = CallFacts(who, "files", "tools/call", "tool", "read", NOW, definition="one")
    return decide(replace(facts, arguments={**GOOD, **arguments}), in_force)


@pytest.mark.parametrize(
    "condition",
    [
        'context.args.path like "/srv/*"',
        'context.args.path like "/srv/*" && !(context.args.path like "*/.git/*")',
        'context.args.path like "/srv/*" && context.args.path != "/srv/x"',
        'context.args.mode == "slow" && context.args.depth > 3 && context.args.depth < 5',
        '["slow", "other"].contains(context.args.mode)',
        'context.args.share.lessThan(decimal("0.25"))',
        'context.args.share == decimal("2.0")',
        "context.args.force && context.args.tags.isEmpty()",
        'context.args.tags.containsAll(["a", "b"]) && !context.args.tags.contains("c")',
        'if context.args.force then context.args.path == "/a" else context.args.depth == 7',
        'context.touched.contains("web")',
        "!context.touched.isEmpty()",
    ],
)
def test_arguments_are_found(condition: str) -> None:
    found = told(snapshot(unless(condition)))
    assert isinstance(found, Maybe)
    assert found.proved


@pytest.mark.parametrize(
    "condition",
    [
        'context.args.path like "/srv/*" && context.args.path like "/etc/*"',
        'context.args.path like "/srv/*" && !(context.args.path like "/*")',
        'context.args.path == "/a" && context.args.path == "/b"',
        'context.args.mode == "medium"',
        'context.args.mode != "fast" && context.args.mode != "slow"',
        'context.args.mode like "m*"',
        "context.args.depth > 3 && context.args.depth < 4",
        "context.args.depth > 9",
        "context.args.depth == -1",
        'context.args.share.lessThan(decimal("0.2")) '
        '&& context.args.share == decimal("1.0")',
        "context.args.force && !context.args.force",
        'context.args.tags.isEmpty() && context.args.tags.contains("a")',
        'context.touched.contains("web") && context.touched.isEmpty()',
    ],
)
def test_what_no_arguments_make_callable_is_not_there(condition: str) -> None:
    in_force = snapshot(unless(condition))
    assert told(in_force) == Denied(Reason.POLICY_FORBIDS, ("p0",))
    # And a call learns nothing of what it would take.
    assert called(in_force, path=7) == Denied(Reason.POLICY_FORBIDS, ("p0",))


@pytest.mark.parametrize(
    "condition",
    [
        "context.args.tags.contains(context.args.mode)",
        "context.args.path == context.args.mode",
        "context.args.depth * 3 == 7",
    ],
)
def test_what_is_not_looked_into_is_listed(condition: str) -> None:
    found = told(snapshot(unless(condition)))
    assert isinstance(found, Maybe)
    assert not found.proved


def test_conditions_of_several_questions_must_hold_together() -> None:
    of_user = unless('context.args.path like "/srv/*"')
    of_agent = unless('context.args.path like "/home/*"').replace("User", "Agent")
    of_token = unless('context.args.path like "*/a"').replace("User", "Token")
    assert isinstance(told(snapshot(of_user, of_token)), Maybe)
    assert told(snapshot(of_user, of_token, of_agent)) == Denied(
        Reason.POLICY_FORBIDS, ("p2",)
    )


def test_a_permit_that_no_arguments_reach_is_none() -> None:
    config = replace(CONFIG, roles={})
    permit = 'permit(principal is Mcp::User, action == Mcp::Action::"call_tool", resource)'
    texts = f'@id("p") {permit} when {{ context.args.depth > 9 }};'
    in_force = build_snapshot(
        config, {"x.cedar": texts}, {"files": snapshot().gates["files"]}
    )
    assert told(in_force) == Denied(Reason.NO_USER_RIGHT)


def test_without_a_binding_schema_its_limits_prove_nothing() -> None:
    in_force = snapshot(unless('context.args.mode == "medium"'), schema=None)
    assert told(in_force) == Maybe(
        ("ceiling:*/files/*", "role:all/files/*", "scope:mcp:files/files/*"), proved=True
    )


def test_what_is_allowed_whatever_the_arguments_is_told_so() -> None:
    in_force = snapshot(unless('principal in Mcp::Role::"all" || context.args.force'))
    assert isinstance(told(in_force), Allowed)
    assert isinstance(called(in_force), Allowed)


def test_an_error_that_cannot_be_avoided_denies() -> None:
    overflow = "9223372036854775807 + 1 > 0"
    in_force = snapshot(unless(f"{overflow} && context.args.force"))
    assert told(in_force) == Denied(Reason.POLICY_ERROR, ("p0",))
    in_force = snapshot(unless(f"context.args.force || {overflow}"))
    assert isinstance(told(in_force), Maybe)
    assert isinstance(called(in_force, force=True), Allowed)
    assert called(in_force) == Denied(Reason.POLICY_ERROR, ("p0",))


def test_a_scope_is_only_offered_to_who_may_make_the_call() -> None:
    in_force = snapshot(unless("context.args.force"))
    bare = replace(ALICE, scopes=frozenset())
    missing = told(in_force, bare)
    assert isinstance(missing, Denied)
    assert missing.reason is Reason.INSUFFICIENT_SCOPE
    with_right = called(in_force, bare, force=True)
    assert isinstance(with_right, Denied)
    assert with_right.reason is Reason.INSUFFICIENT_SCOPE
    assert called(in_force, bare) == Denied(Reason.POLICY_FORBIDS, ("p0",))
    assert called(in_force, bare, force="no") == Denied(Reason.INVALID_ARGUMENTS)


def test_details_are_only_named_to_who_may_make_the_call() -> None:
    in_force = snapshot(unless("context.args.force"))
    elsewhere = replace(ALICE, details=(ToolCalls(("other",)),))
    within = called(in_force, elsewhere, force=True)
    assert isinstance(within, Denied)
    assert within.reason is Reason.BEYOND_DETAILS
    assert called(in_force, elsewhere) == Denied(Reason.POLICY_FORBIDS, ("p0",))


def test_details_leave_nothing_certain() -> None:
    in_force = snapshot(unless('principal in Mcp::Role::"all" || context.args.force'))
    narrow = replace(ALICE, details=(ToolCalls(("read",), (("mode", '"fast"'),)),))
    assert isinstance(told(in_force, narrow), Maybe)
    assert isinstance(called(in_force, narrow), Allowed)
    assert isinstance(called(in_force, narrow, mode="slow"), Denied)


def test_what_was_found_for_one_is_not_told_of_another() -> None:
    """The residues are the same; what they read beside the arguments is not."""
    pin = {"one": ToolPin(json.dumps(SCHEMA).encode())}
    gate = Gate(
        mode="enforce",
        pins={"tools": dict.fromkeys(("fast", "read"), frozenset(("one",)))},
        tools=dict.fromkeys(("fast", "read"), pin),
    )
    text = (
        "forbid(principal is Mcp::User, action, resource is Mcp::Tool) "
        "unless { context.args.mode == resource.name };"
    )
    in_force = build_snapshot(CONFIG, {"x.cedar": f'@id("p") {text}'}, {"files": gate})
    batches = decide_many(ALICE, "files", "tool", ["fast", "read"], NOW, in_force)
    found = [it for batch in batches for _, it in batch]
    proved = [it.proved for it in found if isinstance(it, Maybe)]
    assert proved == [True, False]


def test_a_failing_search_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("bascule.decision.proofs.prove", fails)
    found = told(snapshot(unless("context.args.force")))
    assert isinstance(found, Maybe)
    assert not found.proved


@pytest.mark.parametrize("absent", ["!(context has args)", "!(context has touched)"])
def test_arguments_are_always_there(absent: str) -> None:
    in_force = snapshot(
        f"permit(principal, action, resource is Mcp::Tool) when {{ {absent} }}"
    )
    assert isinstance(told(in_force), Maybe)
    assert isinstance(called(in_force), Allowed)


def test_a_record_may_be_unlike_a_text() -> None:
    condition = 'context.args.o != "x" && context.args.o.p == "y"'
    in_force = snapshot(unless(condition), schema=None)
    assert isinstance(told(in_force), Maybe)


def test_a_keyword_that_a_schema_does_not_know_excludes_nothing() -> None:
    part = {"type": "string", "const": "x"}
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"mode": part},
        "required": ["mode"],
    }
    in_force = snapshot(unless('context.args.mode == "y"'), schema=schema)
    assert isinstance(told(in_force), Maybe)


def test_tools_that_differ_in_nothing_are_looked_into_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upstream that lists thousands costs no thousand searches."""
    searched = []

    def counted(*given: Any) -> str:
        searched.append(given)
        return prove(*given)

    monkeypatch.setattr("bascule.decision.proofs.prove", counted)
    text = (
        'forbid(principal, action == Mcp::Action::"call_tool", resource) '
        'unless { context.args.path like "/srv/*" };'
    )
    in_force = build_snapshot(CONFIG, {"x.cedar": f'@id("p") {text}'}, {"files": None})
    names = [f"tool{n}" for n in range(50)]
    listed = decide_many(ALICE, "files", "tool", names, NOW, in_force)
    assert all(isinstance(it, Maybe) for batch in listed for _, it in batch)
    assert len(searched) == 1


def test_what_may_fail_is_not_certain() -> None:
    forbid = unless("true").replace("unless { true }", "when { context.args.x && false }")
    assert isinstance(told(snapshot(forbid, schema=None)), Maybe)


def test_a_search_that_was_given_up_excludes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bascule.decision.satisfy._MOST_STEPS", 1)
    never = 'context.args.path == "/a" && context.args.path == "/b"'
    in_force = snapshot(unless(f'({never}) || context.args.path == "/c"'))
    assert isinstance(told(in_force), Maybe)


def test_where_unfitting_calls_pass_the_schema_excludes_nothing() -> None:
    gate = snapshot().gates["files"]
    assert gate is not None
    condition = unless('context.args.mode == "medium"')
    text = f'@id("p") {condition};'
    gates = {"files": replace(gate, mode="warn")}
    in_force = build_snapshot(CONFIG, {"x.cedar": text}, gates)
    assert isinstance(told(in_force), Maybe)


def test_one_value_has_one_kind() -> None:
    condition = 'context.args.x == 5 && !(context.args.x like "a*")'
    found = told(snapshot(unless(condition), schema=None))
    assert found == Denied(Reason.POLICY_FORBIDS, ("p0",))


def test_whole_numbers_may_be_decimals() -> None:
    schema = {
        "properties": {"share": {"type": "number", "enum": [1, 2]}},
        "required": ["share"],
    }
    in_force = snapshot(unless('context.args.share == decimal("1.0")'), schema=schema)
    assert isinstance(told(in_force), Maybe)


def test_what_an_approval_lifts_forbids_nothing() -> None:
    forbid = (
        '@obligation("approve") forbid(principal, action == Mcp::Action::"call_tool", '
        "resource) when { if context.args.force then true else true }"
    )
    in_force = build_snapshot(
        CONFIG, {"x.cedar": f'@id("p") {forbid};'}, {"files": snapshot().gates["files"]}
    )
    assert isinstance(told(in_force), Maybe)
    waits = called(in_force)
    assert isinstance(waits, Denied)
    assert waits.reason is Reason.APPROVAL_REQUIRED
