"""Authorization details: read whole or not at all, and matched by value."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Denied,
    Kind,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.snapshot import build_snapshot
from bascule.identity.access_token import AccessToken, issue, verify
from bascule.identity.authorization_details import (
    Details,
    InvalidDetailsError,
    ToolCalls,
    document,
    of_claim,
    parse,
    within,
)
from bascule.identity.keys import KeySet, new_key

HERE = "https://b.example/c/desk/mcp"
NOW = UnixTime(1_764_000_000)
KEY = new_key(NOW)
GOOD: dict[str, Any] = {"type": "mcp_tool_call", "tools": ["search"]}


def read(*elements: object) -> Details:
    return parse(json.dumps(elements), HERE)


def test_what_is_written_is_read_again() -> None:
    details = read(
        {
            **GOOD,
            "locations": ["https://other.example", HERE],
            "actions": ["tools/call"],
            "constraints": {"b": {"y": 1.0, "x": [None]}, "a": "é"},
        },
        {**GOOD, "tools": ["get_*", "get_*"]},
    )
    assert details == (
        ToolCalls(("search",), (("a", '"é"'), ("b", '{"x":[null],"y":1}'))),
        ToolCalls(("get_*",)),
    )
    assert parse(json.dumps(document(details, HERE)), HERE) == details


@pytest.mark.parametrize(
    "element",
    [
        {**GOOD, "type": "payment"},
        {"tools": ["search"]},
        {"type": "mcp_tool_call"},
        {**GOOD, "tools": []},
        {**GOOD, "tools": [""]},
        {**GOOD, "tools": "search"},
        {**GOOD, "tools": [7]},
        {**GOOD, "tools": ["x" * 256]},
        {**GOOD, "tools": ["x"] * 65},
        {**GOOD, "locations": ["https://other.example"]},
        {**GOOD, "locations": []},
        {**GOOD, "locations": f"{HERE}/more"},
        {**GOOD, "locations": 7},
        {**GOOD, "actions": []},
        {**GOOD, "actions": ["tools/list"]},
        {**GOOD, "constraints": ["a"]},
        {**GOOD, "constraints": {"a": 2**53 + 1}},
        {**GOOD, "privileges": ["admin"]},
        "search",
        None,
        [],
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_and_its_values_are_not_repeated(
    element: object,
) -> None:
    with pytest.raises(InvalidDetailsError) as caught:
        read(GOOD, element)
    assert "other.example" not in str(caught.value)
    assert "privileges" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "null", "{}", "[]", "[" * 5000, "[1e400]", "[" + "1," * 4000 + "1]", "\ud800"],
)
def test_what_is_no_array_of_them_is_refused(text: str) -> None:
    with pytest.raises(InvalidDetailsError):
        parse(text, HERE)


@given(
    st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=64),
    st.integers(1, 16),
    st.text(max_size=200),
)
def test_what_is_accepted_fits_into_a_token_and_is_read_from_it(
    tools: list[str], count: int, value: str
) -> None:
    element = {**GOOD, "tools": tools, "constraints": {"a": value}}
    try:
        details = read(*[element] * count)
    except InvalidDetailsError:
        return
    token = AccessToken(
        user="user:alice",
        agent="https://app.example/" + "x" * 200,
        jti="j" * 36,
        scopes=frozenset({"mcp:desk"}),
        issued_at=NOW,
        expires_at=UnixTime(NOW + 60),
        issue_number=1,
        details=details,
    )
    signed = issue(token, issuer="https://b.example", resource=HERE, key=KEY)
    shown = verify(
        signed.encode(),
        keys=KeySet([KEY]),
        issuer="https://b.example",
        resource=HERE,
        now=NOW,
        leeway=0,
    )
    assert shown.details == details


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidDetailsError):
        parse(text, HERE)


def test_of_a_foreign_claim_counts_what_is_meant_for_here() -> None:
    elsewhere = {**GOOD, "locations": ["api://other"]}
    payment = {"type": "payment", "tools": ["everything"]}
    assert of_claim([elsewhere, payment, GOOD], HERE) == read(GOOD)
    assert of_claim([elsewhere, payment], HERE) == ()
    assert of_claim([], HERE) == ()


@pytest.mark.parametrize(
    "claim",
    [
        None,
        "text",
        {},
        [{**GOOD, "more": 1}],
        [{**GOOD, "locations": 7}],
        [{**GOOD, "locations": f"{HERE}/x"}],
        [GOOD] * 17,
    ],
)
def test_a_foreign_claim_that_cannot_be_read_is_refused(claim: object) -> None:
    with pytest.raises(InvalidDetailsError):
        of_claim(claim, HERE)


def test_a_part_is_within_what_was_given_and_nothing_wider_is() -> None:
    given_ = read(GOOD, {**GOOD, "tools": ["get_*"]})
    assert within(read(GOOD), given_)
    assert not within(read({**GOOD, "tools": ["*"]}), given_)
    assert not within(read(GOOD), read({**GOOD, "constraints": {"a": 1}}))


# The decision

CONFIG = Config(
    connectors={"desk": Connector(url="https://desk.example/mcp", mode="observe")},
    roles={"clerk": Role(members=("user:alice",), allow=("desk/*",))},
    agents=Agents(default_ceiling=("desk/*",)),
)


def facts(
    name: str = "search",
    arguments: dict[str, Any] | None = None,
    details: Details | None = None,
    kind: Kind = "tool",
    method: str = "tools/call",
) -> CallFacts:
    who = Principal("user:alice", "app", scopes=frozenset({"mcp:desk"}), details=details)
    arguments = {} if arguments is None else arguments
    return CallFacts(who, "desk", method, kind, name, NOW, arguments=arguments)


SNAPSHOT = build_snapshot(CONFIG, {})
BEYOND = Denied(Reason.BEYOND_DETAILS, scopes=("mcp:desk",))


def test_a_token_with_details_is_for_these_calls_and_nothing_else() -> None:
    details = read(GOOD, {**GOOD, "tools": ["get_*"]})
    for name in ("search", "get_one"):
        assert isinstance(decide(facts(name, details=details), SNAPSHOT), Allowed)
    assert decide(facts("delete", details=details), SNAPSHOT) == BEYOND
    assert decide(facts("Search", details=details), SNAPSHOT) == BEYOND
    prompt = facts("search", details=details, kind="prompt", method="prompts/get")
    assert decide(prompt, SNAPSHOT) == BEYOND
    resource = facts("search:x", details=details, kind="resource", method="resources/read")
    assert decide(resource, SNAPSHOT) == BEYOND


def test_details_that_mean_nothing_here_permit_nothing() -> None:
    assert decide(facts(details=()), SNAPSHOT) == BEYOND
    assert isinstance(decide(facts(details=None), SNAPSHOT), Allowed)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({"project": "bridge", "n": 1}, True),
        ({"project": "bridge", "n": 1.0, "more": [1]}, True),
        ({"project": "bridge", "n": True}, False),
        ({"project": "bridge", "n": "1"}, False),
        ({"project": "Bridge", "n": 1}, False),
        ({"project": "bridge\u200b", "n": 1}, False),
        ({"project": ["bridge"], "n": 1}, False),
        ({"project": "bridge"}, False),
        ({}, False),
        ({"project": "bridge", "n": 2**53 + 1}, False),
    ],
)
def test_constraints_are_compared_by_value(
    arguments: dict[str, Any], allowed: bool
) -> None:
    details = read({**GOOD, "constraints": {"project": "bridge", "n": 1}})
    found = decide(facts(arguments=arguments, details=details), SNAPSHOT)
    assert isinstance(found, Allowed) if allowed else found == BEYOND


def test_while_arguments_are_not_known_a_constrained_call_may_be_allowed() -> None:
    details = read({**GOOD, "constraints": {"n": 1}})
    asked = replace(facts(details=details), arguments=None)
    assert isinstance(decide(asked, SNAPSHOT), Maybe)


def test_a_list_holds_what_the_token_is_for() -> None:
    details = read(GOOD, {**GOOD, "tools": ["edit"], "constraints": {"n": 1}})
    who = facts(details=details).principal
    batches = decide_many(who, "desk", "tool", ["search", "edit", "delete"], NOW, SNAPSHOT)
    found = {name: type(it) for batch in batches for name, it in batch}
    assert found == {"search": Allowed, "edit": Maybe, "delete": Denied}


def test_what_details_cover_is_refused_for_the_reason_that_rights_give() -> None:
    details = read({**GOOD, "tools": ["*"]})
    stranger = facts(details=details)
    stranger = replace(stranger, principal=replace(stranger.principal, user="user:bob"))
    assert decide(stranger, SNAPSHOT) == Denied(Reason.NO_USER_RIGHT)
    outside = replace(stranger.principal, details=())
    assert decide(replace(stranger, principal=outside), SNAPSHOT).reason is (
        Reason.NO_USER_RIGHT
    )


def test_what_one_token_may_is_not_remembered_for_another() -> None:
    wide, narrow = facts("delete"), facts("delete", details=read(GOOD))
    for _ in range(2):
        assert isinstance(decide(wide, SNAPSHOT), Allowed)
        assert decide(narrow, SNAPSHOT) == BEYOND


@given(
    st.lists(st.sampled_from(["search", "get_*", "*", "x"]), min_size=1),
    st.sampled_from(["search", "get_one", "delete"]),
    st.booleans(),
)
def test_details_never_widen(tools: list[str], name: str, member: bool) -> None:
    details = read({**GOOD, "tools": tools})
    user = "user:alice" if member else "user:bob"
    narrow, wide = facts(name, details=details), facts(name)
    narrow = replace(narrow, principal=replace(narrow.principal, user=user))
    wide = replace(wide, principal=replace(wide.principal, user=user))
    if isinstance(decide(narrow, SNAPSHOT), Allowed):
        assert isinstance(decide(wide, SNAPSHOT), Allowed)
