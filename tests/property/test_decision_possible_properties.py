"""What is listed, against what can be called: for every policy and all arguments."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, CallFacts, Denied, Maybe, Principal, Reason
from bascule.decision.gate import Gate, ToolPin
from bascule.decision.snapshot import Snapshot, build_snapshot

BROKEN = Denied(Reason.POLICY_ERROR)
"""What came of an exception; of an error in a policy its id is told."""
OF_ARGUMENTS = {Reason.INVALID_ARGUMENTS, Reason.POLICY_ERROR}
"""Reasons of calls that no policy was asked about."""
NOW = UnixTime(1_764_000_000)
NAMES = ("search", "write")
CALLERS = (
    Principal("user:alice", "bot", scopes=frozenset(("mcp:files",))),
    Principal("user:bob", "bot", scopes=frozenset(("mcp:files", "narrow"))),
    Principal(None, "bot", scopes=frozenset(("mcp:files",))),
    Principal("user:alice", "bot"),
)
CONFIG = Config(
    connectors={
        "files": Connector(
            command=("x",),
            mode="enforce",
            # As they come: that a literal is never so spelt is a matter of `policy check`.
            arguments=dict.fromkeys(("a", "b", "q", "t", "o.p"), "text"),
        )
    },
    toolsets={"files:read": ("files/search",)},
    roles={
        "all": Role(members=("user:alice", "agent:bot"), allow=("files/*",)),
        "none": Role(members=("user:bob",), allow=()),
    },
    agents=Agents(default_ceiling=("files/*",)),
    scopes={"narrow": ()},
)

texts = st.text("xy/", max_size=3)
patterns = st.text("xy/*", max_size=4)
numbers = st.integers(-2, 3)
string_paths = st.sampled_from(("a", "b", "o.p"))
comparisons = st.sampled_from(("<", "<=", ">", ">=", "==", "!="))


def quoted(items: list[str]) -> str:
    return json.dumps(items)


atoms = st.one_of(
    st.builds("context.args has {}".format, st.sampled_from(("a", "n", "o.p", "f", "q"))),
    st.builds('context.args.{} like "{}"'.format, string_paths, patterns),
    st.builds('context.args.{} == "{}"'.format, string_paths, texts),
    st.builds('"{}" != context.args.{}'.format, texts, string_paths),
    st.builds(
        "{}.contains(context.args.{})".format,
        st.lists(texts, max_size=3).map(quoted),
        string_paths,
    ),
    st.builds("context.args.n {} {}".format, comparisons, numbers),
    st.builds("{} {} context.args.n".format, numbers, comparisons),
    st.builds('context.args.t.contains("{}")'.format, texts),
    st.builds(
        "context.args.t.{}({})".format,
        st.sampled_from(("containsAny", "containsAll")),
        st.lists(texts, max_size=3).map(quoted),
    ),
    st.builds(
        "context.touched.containsAny({})".format, st.just(quoted(["web", "private"]))
    ),
    st.sampled_from(
        (
            "context.args.f",
            "context.args.t.isEmpty()",
            "context.touched.isEmpty()",
            'context.touched.contains("web")',
            "context.args.a == context.args.b",
            "context.args.n + 1 > 1",
            "context.args.n * 9223372036854775807 > 5",
            "context.args has o && context.args.o has p",
            'context.args.o == {p: "x"}',
            'context.args.o != "x"',
            "context.args.a == 1",
            '(if context.args has q then context.args.q else "x") == "x"',
            "context has args",
            "context has user",
            'context.scopes.contains("narrow")',
            'resource.name == "search"',
            "resource.destructive",
            'principal in Mcp::Role::"all"',
            'context.now > datetime("2020-01-01T00:00:00Z")',
            "9223372036854775807 + 1 > 0",
            "true",
            "false",
        )
    ),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("(if {} then {} else {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)
heads = st.sampled_from(
    (
        "principal, action, resource is Mcp::Tool",
        'principal is Mcp::User, action in Mcp::Action::"use", resource is Mcp::Tool',
        'principal == Mcp::User::"bob", action == Mcp::Action::"call_tool", resource',
        'principal == Mcp::Agent::"bot", action, resource == Mcp::Tool::"files/search"',
        "principal is Mcp::Token, action, "
        'resource is Mcp::Tool in Mcp::Toolset::"files:read"',
        'principal, action == Mcp::Action::"act_alone", resource is Mcp::Tool',
    )
)
policies = st.one_of(
    st.builds(
        "{}({}) {} {{ {} }};".format,
        st.sampled_from(("permit", "forbid")),
        heads,
        st.sampled_from(("when", "unless")),
        conditions,
    ),
    st.builds(
        '@obligation("approve") {}(principal, action == Mcp::Action::"call_tool", '
        "resource) when {{ {} }};".format,
        st.sampled_from(("permit", "forbid")),
        conditions,
    ),
)
written = st.lists(policies, min_size=1, max_size=3)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "a": texts,
        "b": texts,
        "n": numbers,
        "f": st.booleans(),
        "t": st.lists(texts, max_size=3, unique=True),
        "o": st.fixed_dictionaries({}, optional={"p": texts}),
        "q": st.one_of(texts, numbers),
    },
)
touches = st.frozensets(st.sampled_from(("web", "private")))

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"enum": ["x", "xy", "yz"]},
        "b": {"$ref": "#/$defs/text"},
        "n": {"type": "integer", "minimum": 0, "exclusiveMaximum": 3},
        "f": {"type": "boolean"},
        "t": {"type": "array", "items": {"type": "string"}},
        "o": {
            "type": "object",
            "properties": {"p": {"type": "string"}},
            "required": ["p"],
            "additionalProperties": False,
        },
        "q": {"type": "string"},
    },
    "required": ["a", "b", "n", "f", "t"],
    "additionalProperties": False,
    "$defs": {"text": {"type": "string"}},
}
fitting = st.fixed_dictionaries(
    {
        "a": st.sampled_from(("x", "xy", "yz")),
        "b": texts,
        "n": st.integers(0, 2),
        "f": st.booleans(),
        "t": st.lists(texts, max_size=3, unique=True),
    },
    optional={"o": st.fixed_dictionaries({"p": texts}), "q": texts},
)


def snapshot(policy_texts: list[str], schema: dict[str, Any] | None = None) -> Snapshot:
    numbered = [f'@id("p{n}") {text}\n' for n, text in enumerate(policy_texts)]
    gate = None
    if schema is not None:
        pin = {"one": ToolPin(json.dumps(schema).encode(), destructive=False)}
        gate = Gate(
            mode="enforce",
            pins={"tools": dict.fromkeys(NAMES, frozenset(("one",)))},
            tools=dict.fromkeys(NAMES, pin),
        )
    return build_snapshot(CONFIG, {"x.cedar": "".join(numbered)}, {"files": gate})


def call(
    who: Principal, name: str, given: dict[str, Any] | None, touched: frozenset[str]
) -> CallFacts:
    return CallFacts(
        who,
        "files",
        "tools/call",
        "tool",
        name,
        NOW,
        definition="one",
        arguments=given,
        touched=touched,
    )


def check(
    policies_in_force: Snapshot, given: dict[str, Any], touched: frozenset[str]
) -> None:
    for who in CALLERS:
        batches = decide_many(who, "files", "tool", NAMES, NOW, policies_in_force)
        listed = {name: decision for batch in batches for name, decision in batch}
        for name in NAMES:
            called = decide(call(who, name, given, touched), policies_in_force)
            unknown = decide(call(who, name, None, frozenset()), policies_in_force)
            assert type(unknown) is type(listed[name])
            assert unknown != BROKEN
            waits = isinstance(called, Denied) and called.call is not None
            if isinstance(called, Allowed) or waits:
                assert not isinstance(listed[name], Denied)
            elif isinstance(called, Denied) and called.reason not in OF_ARGUMENTS:
                assert not isinstance(listed[name], Allowed)
            if isinstance(listed[name], Denied):
                assert isinstance(called, Denied)


@settings(max_examples=100)
@given(written, arguments, touches)
@example(
    ["forbid(principal, action, resource) when { context.args.n < 1 || context.args.f };"],
    {"n": 1, "f": False},
    frozenset(),
)
def test_whatever_can_be_called_is_listed(
    policy_texts: list[str], given: dict[str, Any], touched: frozenset[str]
) -> None:
    check(snapshot(policy_texts), given, touched)


@settings(max_examples=80)
@given(written, fitting, touches)
def test_whatever_can_be_called_is_listed_though_its_schema_is_known(
    policy_texts: list[str], given: dict[str, Any], touched: frozenset[str]
) -> None:
    check(snapshot(policy_texts, SCHEMA), given, touched)


# Without `/`, by which arguments are taken for paths.
plain_texts = st.text("xyz", max_size=3)
plain_patterns = st.text("xyz*", max_size=4)
plain_atoms = st.one_of(
    st.builds('context.args.{} like "{}"'.format, st.sampled_from("ab"), plain_patterns),
    st.builds('context.args.{} == "{}"'.format, st.sampled_from("ab"), plain_texts),
    st.builds('context.args.{} != "{}"'.format, st.sampled_from("ab"), plain_texts),
    st.builds('!(context.args.{} like "{}")'.format, st.sampled_from("ab"), plain_patterns),
    st.builds(
        "{}.contains(context.args.{})".format,
        st.lists(plain_texts, min_size=1, max_size=3).map(quoted),
        st.sampled_from("ab"),
    ),
    st.builds("context.args.n {} {}".format, comparisons, numbers),
    st.sampled_from(("context.args.f", "!context.args.f")),
    st.builds('context.args.t.contains("{}")'.format, plain_texts),
)
conjunctions = st.lists(plain_atoms, min_size=1, max_size=5).map(" && ".join)
plain = st.one_of(
    st.builds(
        "forbid(principal is Mcp::User, action, resource) unless {{ {} }};".format,
        conjunctions,
    ),
    st.builds(
        "permit(principal is Mcp::User, action, resource) when {{ {} }};".format,
        conjunctions,
    ),
)


@settings(max_examples=150)
@given(st.lists(plain, min_size=1, max_size=3), st.sampled_from((None, SCHEMA)))
def test_of_conjunctions_it_is_always_known_whether_a_call_is_possible(
    policy_texts: list[str], schema: dict[str, Any] | None
) -> None:
    in_force = snapshot(policy_texts, schema)
    for who in CALLERS[:2]:
        for batch in decide_many(who, "files", "tool", NAMES, NOW, in_force):
            for _, decision in batch:
                assert not isinstance(decision, Maybe) or decision.proved
                assert decision != BROKEN
