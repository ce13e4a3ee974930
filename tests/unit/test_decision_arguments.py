"""Policies on arguments: what came, what is compared, what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, ArgumentForm, Config, Connector, Mode, Role
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Principal, Reason
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.snapshot import Snapshot, build_snapshot, with_gates
from bascule.protocol.message import MalformedMessageError, Request, parse

NOW = UnixTime(1_764_000_000)
ALICE = Principal(user="user:alice", agent="desk", scopes=frozenset({"mcp:fs"}))
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "url": {"type": "string"},
        "host": {"type": "string"},
        "link": {"type": "string", "format": "uri"},
        "repo": {"type": "string"},
        "text": {"type": ["string", "null"]},
        "paths": {"type": "array", "items": {"type": "string"}},
        "count": {"type": "integer"},
        "price": {"type": "number"},
        "deep": {"type": "object", "properties": {"path": {"type": "string"}}},
        "either": {"type": ["string", "integer"]},
        "dry": {"type": "boolean"},
        "free": {"type": "object"},
    },
}
HEAD = 'principal, action == Mcp::Action::"call_tool", resource == Mcp::Tool::"fs/do"'


def snapshot(
    *policies: str,
    mode: Mode = "enforce",
    schema: Any = SCHEMA,
    forms: dict[str, ArgumentForm] | None = None,
    **options: Any,
) -> Snapshot:
    """A server `fs` whose tool `do` everybody may use, but for some policies."""
    config = Config(
        connectors={"fs": Connector(command=("fs",), arguments=forms or {}, **options)},
        roles={"all": Role(members=("user:alice",), allow=("fs/do",))},
        agents=Agents(default_ceiling=("fs/*",)),
    )
    text = "\n".join(f'@id("p{n}") {policy}' for n, policy in enumerate(policies))
    pin = ToolPin(schema=json.dumps(schema).encode())
    gate = Gate(
        mode=mode, pins={"tools": {"do": frozenset({"d"})}}, tools={"do": {"d": pin}}
    )
    return build_snapshot(config, {"policies/a.cedar": text}, {"fs": gate})


def forbids(condition: str, **options: Any) -> Snapshot:
    return snapshot(f"forbid({HEAD}) when {{ {condition} }};", **options)


def call(arguments: dict[str, Any] | None, **changes: Any) -> CallFacts:
    facts = CallFacts(
        ALICE, "fs", "tools/call", "tool", "do", NOW, definition="d", arguments=arguments
    )
    return replace(facts, **changes)


def answer(made: Snapshot, **arguments: Any) -> Decision:
    return decide(call(arguments), made)


def reason(made: Snapshot, **arguments: Any) -> Reason:
    return answer(made, **arguments).reason  # type: ignore[union-attr]


SECRET = 'context.args has path && context.args.path like "/secret/*"'
"""Forbidden."""


@pytest.mark.parametrize(
    "path",
    [
        "/secret/key",
        "/public/../secret/key",
        "//secret/key",
        "/./secret//key",
        "/secret/./key/",
        "/../secret/key",
    ],
)
def test_a_forbidden_path_is_forbidden_however_it_is_spelt(path: str) -> None:
    assert reason(forbids(SECRET), path=path) is Reason.POLICY_FORBIDS


@pytest.mark.parametrize(
    "path",
    [
        "secret/key",
        "../secret/key",
        "~/secret/key",
        "/secret%2fkey",
        "/%73ecret/key",
        "/public/%2e%2e/secret/key",
        "/public/%252e%252e/secret/key",
        "\\secret\\key",
        "file:///secret/key",
        "/\uff53ecret/key",
        "/secret\u2215key",
        "/sec\u00adret/key",
        "/secret\x00/key",
        "/\u202esecret/key",
    ],
)
def test_a_path_that_could_be_the_forbidden_one_is_refused(path: str) -> None:
    denied = answer(forbids(SECRET), path=path)
    assert isinstance(denied, Denied)
    assert denied.reason is Reason.INVALID_ARGUMENTS
    assert denied.detail.startswith("`path` ")
    assert "ecret" not in denied.detail


def test_what_was_compared_is_what_is_sent() -> None:
    made = forbids(SECRET)
    arguments = {"path": "/public/../docs//x", "text": "/public/../docs//x"}
    allowed = decide(call(arguments), made)
    assert isinstance(allowed, Allowed)
    assert allowed.arguments == {"path": "/docs/x", "text": "/public/../docs//x"}
    assert arguments["path"] == "/public/../docs//x"


def test_arguments_that_are_canonical_are_sent_as_they_came() -> None:
    allowed = answer(forbids(SECRET), path="/docs/x")
    assert isinstance(allowed, Allowed)
    assert allowed.arguments is None


def test_what_no_policy_reads_is_not_touched() -> None:
    allowed = answer(forbids(SECRET), path="/x", url="HTTP://A.B:80", paths=["/a/../b"])
    assert isinstance(allowed, Allowed)
    assert allowed.arguments is None


@pytest.mark.parametrize(
    ("condition", "arguments", "sent"),
    [
        ('context.args.url like "https://a.example/*"', {"url": "HTTPS://A.Example"}, None),
        ('context.args.host == "evil.example"', {"host": "EVIL.example."}, None),
        ('context.args.link == "https://a.example/"', {"link": "https://A.example"}, None),
        ('context.args.repo == "Acme/x"', {"repo": " Acme/x"}, "invalid"),
        ('context.args.repo == "Acme/x"', {"repo": "Acme/\u200bx"}, "invalid"),
        ('context.args.paths.contains("/secret")', {"paths": ["/a", "/b/../secret"]}, None),
        ('context.args.deep.path == "/secret"', {"deep": {"path": "/a/../secret"}}, None),
        ('context.args.text like "*x*"', {"text": "a/../x"}, None),
        ("context.args.count == 3", {"count": 3.0}, None),
        ('context.args.price == decimal("0.1")', {"price": 0.1}, None),
        ('context.args.price == decimal("2.0")', {"price": 2}, None),
        ("context.args.dry", {"dry": True}, None),
    ],
)
def test_a_forbid_sees_one_spelling(
    condition: str, arguments: dict[str, Any], sent: str | None
) -> None:
    name = next(iter(arguments))
    guard = f"context.args has {name} && "
    if name == "deep":
        guard += "context.args.deep has path && "
    expected = Reason.INVALID_ARGUMENTS if sent else Reason.POLICY_FORBIDS
    assert reason(forbids(guard + condition), **arguments) is expected


@pytest.mark.parametrize(
    "condition",
    [
        '(if context.args has x then context.args.x else "") == "/secret/a"',
        '(if context.args has x then context.args.x else "") like "/secret/*"',
        'context.args has x && ["/secret/a"].contains(context.args.x)',
        'context.args has x && [context.args.x].contains("/secret/a")',
        'context.args has x && "/secret/a" == context.args.x',
    ],
)
def test_what_it_is_compared_with_says_that_it_is_a_path(condition: str) -> None:
    schema = {"properties": {"x": {"type": "string"}}}
    made = forbids(condition, schema=schema)
    assert reason(made, x="/docs/../secret/a") is Reason.POLICY_FORBIDS
    assert reason(made, x="/docs/%2e%2e/secret/a") is Reason.INVALID_ARGUMENTS


def test_a_declared_form_counts_more_than_a_guess() -> None:
    condition = 'context.args has repo && context.args.repo == "acme/secret"'
    assert reason(forbids(condition), repo="Acme/Secret") is Reason.ALLOWED
    declared = forbids(condition, forms={"repo": "nocase"})
    assert reason(declared, repo="Acme/Secret") is Reason.POLICY_FORBIDS
    only_here = forbids(condition, forms={"do/repo": "nocase", "other/repo": "path"})
    assert reason(only_here, repo="Acme/Secret") is Reason.POLICY_FORBIDS
    as_text = forbids(SECRET, forms={"path": "text"})
    assert reason(as_text, path="/public/../secret/x") is Reason.ALLOWED


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (b"9007199254740991", True),
        (b"9007199254740992", False),
        (b"9007199254740993", False),
        (b"-9007199254740993", False),
        (b"1e2", True),
        (b"-0", True),
        (b"-0.0", True),
        (b"1e18", False),
        (b"123456789012345678901234567890", False),
    ],
)
def test_an_integer_is_compared_only_where_all_readers_read_the_same(
    body: bytes, allowed: bool
) -> None:
    made = forbids("context.args has count && context.args.count > 9007199254740991")
    facts = call(arguments_in(b'{"count":%b}' % body))
    assert isinstance(decide(facts, made), Allowed) is allowed


@pytest.mark.parametrize(
    ("price", "allowed"),
    [(0.0001, True), (-0.0, True), (0.00001, False), (1e300, False), (1 / 3, False)],
)
def test_a_number_is_compared_only_where_it_is_exact(price: float, allowed: bool) -> None:
    condition = 'context.args has price && context.args.price.greaterThan(decimal("9.9"))'
    decision = answer(forbids(condition), price=price)
    assert isinstance(decision, Allowed) is allowed
    if not allowed:
        assert decision == Denied(
            Reason.INVALID_ARGUMENTS,
            detail="`price` has more digits than a policy can compare: four at most",
        )


def test_a_number_that_no_double_holds_is_no_message() -> None:
    with pytest.raises(MalformedMessageError):
        arguments_in(b'{"count":1e400}')


def arguments_in(text: bytes) -> dict[str, Any]:
    """Read arguments as the gateway does."""
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":%b}}' % text
    )
    request = parse(body, max_depth=64)
    assert isinstance(request, Request)
    found: dict[str, Any] = request.params["arguments"]
    return found


def test_of_a_doubled_key_the_one_that_is_sent_is_decided_on() -> None:
    for text in (
        b'{"path":"/public/x","path":"/secret/x"}',
        b'{"path":"/public/x","p\\u0061th":"/secret/x"}',
    ):
        arguments = arguments_in(text)
        assert arguments == {"path": "/secret/x"}
        assert decide(call(arguments), forbids(SECRET)).reason is Reason.POLICY_FORBIDS  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("policy", "arguments"),
    [
        ('context.args.path == "/x"', {}),
        ("context.args.count + 9223372036854775807 > 0", {"count": 1}),
        ("context.args.count * 9223372036854775807 > 0", {"count": 2}),
        ('decimal(context.args.repo).lessThan(decimal("1.0"))', {"repo": "x"}),
        ("ip(context.args.host).isLoopback()", {"host": "no.address"}),
    ],
)
def test_a_forbid_that_fails_denies(policy: str, arguments: dict[str, Any]) -> None:
    """Cedar skips what fails, and would have allowed it."""
    made = forbids(policy)
    assert reason(made, **arguments) is Reason.POLICY_ERROR


def test_null_is_absent() -> None:
    made = forbids("context.args has text")
    assert reason(made, text=None) is Reason.ALLOWED
    assert reason(made, text="") is Reason.POLICY_FORBIDS


def test_members_that_mean_something_else_to_cedar_are_refused() -> None:
    """`{"__extn": …}` would be an address or a time, not what was sent."""
    for key in ("__extn", "__entity", "__expr"):
        trick = {key: {"fn": "decimal", "arg": "1.0", "type": "T", "id": "x"}}
        open_one = forbids(
            "context.args has any && context.args.any == 1",
            schema={"additionalProperties": True},
        )
        assert reason(open_one, any=trick) is Reason.INVALID_ARGUMENTS


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"filePath": {"type": "string"}}},
        {"properties": {"path": {"type": "integer"}}},
        {"properties": {"path": {"type": ["string", "integer"]}}},
        {"properties": {"path": {}}},
        {"properties": {"path": {"type": "array", "items": {"type": "string"}}}},
    ],
)
def test_a_tool_that_policies_do_not_fit_any_more_is_denied(schema: Any) -> None:
    """Its new definition was approved after the policies were loaded."""
    assert answer(forbids(SECRET, schema=schema)) == Denied(Reason.POLICY_ERROR, ("p0",))
    assert decide(call(None), forbids(SECRET, schema=schema)) == Denied(
        Reason.POLICY_ERROR, ("p0",)
    )
    many = snapshot(
        'forbid(principal, action == Mcp::Action::"call_tool", resource) '
        f"when {{ {SECRET} }};",
        schema={"properties": {"query": {"type": "string"}}},
    )
    assert reason(many, query="x") is Reason.ALLOWED


def test_what_may_be_of_several_kinds_is_never_compared() -> None:
    """A policy that permits says nothing of it; it was loaded before this was approved."""
    made = snapshot(
        f'permit({HEAD}) when {{ context.args has either && context.args.either == "5" }};'
    )
    mallory = replace(ALICE, user="user:mallory")
    for value in (5, "5"):
        facts = call({"either": value}, principal=mallory)
        assert decide(facts, made).reason is Reason.INVALID_ARGUMENTS  # type: ignore[union-attr]


def test_a_part_that_no_policy_reads_may_be_of_any_kind() -> None:
    schema = {
        "properties": {
            "deep": {
                "properties": {"path": {"type": "string"}, "odd": {}},
                "additionalProperties": True,
            }
        }
    }
    reads_path = forbids(
        'context.args has deep.path && context.args.deep.path == "/x"',
        schema=schema,
    )
    assert reason(reads_path, deep={"path": "/y", "odd": {"a": 0.00001}}) is Reason.ALLOWED
    more = forbids("context.args has deep && context.args.deep has more", schema=schema)
    assert reason(more, deep={"path": "/y"}) is Reason.ALLOWED
    assert reason(more, deep={"more": 1}) is Reason.POLICY_FORBIDS
    odd = forbids("context.args has deep && context.args.deep has odd", schema=schema)
    assert reason(odd, deep={"path": "/y"}) is Reason.POLICY_ERROR


def test_arguments_are_checked_where_no_policy_reads_any() -> None:
    made = snapshot()
    assert reason(made, path="x") is Reason.ALLOWED
    assert answer(made, path=5) == Denied(
        Reason.INVALID_ARGUMENTS, detail='`path`: the value is not of type "string"'
    )
    assert reason(made, unknown=1) is Reason.INVALID_ARGUMENTS
    assert reason(snapshot(unknown_arguments="allow"), unknown=1) is Reason.ALLOWED


@pytest.mark.parametrize("mode", ["observe", "warn"])
def test_without_enforcing_it_is_found_and_not_refused(mode: Mode) -> None:
    allowed = answer(snapshot(mode=mode), path=5)
    assert isinstance(allowed, Allowed)
    assert allowed.finding is Reason.INVALID_ARGUMENTS
    # A policy that reads it still cannot be fooled.
    assert reason(forbids(SECRET, mode=mode), path=5) is Reason.INVALID_ARGUMENTS


def test_who_may_never_use_it_learns_nothing_of_its_arguments() -> None:
    made = snapshot()
    stranger = replace(ALICE, user="user:mallory")
    denied = decide(call({"nonsense": 1}, principal=stranger), made)
    assert denied == Denied(Reason.NO_USER_RIGHT)
    assert denied == decide(call({}, principal=stranger), made)


def test_what_is_sent_fits_the_schema_too() -> None:
    schema = {"properties": {"path": {"type": "string", "pattern": "/$"}}}
    made = forbids(SECRET, schema=schema)
    assert reason(made, path="/docs/") is Reason.INVALID_ARGUMENTS


def test_arguments_of_a_definition_that_is_not_approved_are_not_compared() -> None:
    made = forbids(SECRET, mode="warn")
    facts = call({"path": "/secret/x", "new": 1}, definition="another")
    assert decide(facts, made).reason is Reason.POLICY_FORBIDS  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("condition", "forbidden", "refused", "allowed"),
    [
        ("context.args.a == 7", [7, 7.0], ["7", [7], True, 7.5], [8, None]),
        ("7 == context.args.a", [7], ["7"], [8]),
        ("context.args.a == -1", [-1], ["-1"], [1]),
        ('context.args.a == "x"', ["x"], [1, ["x"], {"x": 1}, True], ["y"]),
        ('context.args.a != "x"', ["y"], [1, ["x"]], ["x"]),
        ("context.args.a == true", [True], ["true", 1], [False]),
        ("[1, 2].contains(context.args.a)", [1], ["1", [1]], [3]),
        ('context.args.a.contains("x")', [["x", "y"]], ["x", [1]], [["y"], []]),
        ('context.args.a.containsAny(["x"])', [["x"]], ["x", [["x"]]], [["y"]]),
        ('context.args.a == decimal("5.0")', [5, 5.0], ["5"], [6]),
        ('context.args.a == 7 || context.args.a == "7"', [7, "7"], [True, [7]], [8]),
        ("context.args.a > 5", [6], ["6", 6.5], [5]),
        ("[context.args.a, 9].contains(7)", [7], ["7"], [8]),
        ("(if context has user then context.args.a else 1) == 7", [7], ["7"], [8]),
    ],
)
def test_without_a_schema_what_a_policy_compares_says_of_what_kind_it_is(
    condition: str, forbidden: list[Any], refused: list[Any], allowed: list[Any]
) -> None:
    """Cedar finds "7" and 7 unequal and says nothing; servers take one for the other."""
    made = forbids(f"context.args has a && ({condition})", mode="observe")
    unknown = with_gates(made, {"fs": None})
    expected = {
        Reason.POLICY_FORBIDS: forbidden,
        Reason.INVALID_ARGUMENTS: refused,
        Reason.ALLOWED: allowed,
    }
    for wanted, values in expected.items():
        for value in values:
            assert reason(unknown, a=value) is wanted, value
    assert reason(unknown) is Reason.ALLOWED


def test_arguments_are_not_looked_at_where_nothing_says_anything_of_them() -> None:
    """Then neither a schema is approved, nor does a policy on any tool read some."""
    odd = {"path": "/a/../b", "count": "no number"}
    rule = 'forbid({}) when {{ context.args has path && context.args.path == "/b" }};'
    elsewhere = rule.format(HEAD.replace("fs/do", "fs/other"))
    plain, ruled_elsewhere, ruled = (
        snapshot(*some, mode="observe") for some in ([], [elsewhere], [rule.format(HEAD)])
    )
    for it in (plain, ruled_elsewhere):
        as_it_came = decide(call(odd, definition=None), it)
        assert as_it_came == decide(call({}, definition=None), it)
        assert isinstance(as_it_came, Allowed)
    refused = decide(call(odd, definition=None), ruled)
    assert isinstance(refused, Denied)
    assert refused.reason is Reason.POLICY_FORBIDS
    served = decide(call(odd), plain)
    assert isinstance(served, Allowed)
    assert served.finding is Reason.INVALID_ARGUMENTS
    assert [it.arguments.are_read for it in (plain, ruled_elsewhere, ruled)] == [0, 1, 1]
