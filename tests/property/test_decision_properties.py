"""What holds for every policy, name and caller."""

from __future__ import annotations

import contextlib
import json

import cedarpy
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision import cedar
from bascule.decision.compile import compile_config
from bascule.decision.decide import decide
from bascule.decision.decide_many import METHODS, decide_many
from bascule.decision.entries import (
    Entry,
    EntryError,
    TargetKind,
    parse_entry,
)
from bascule.decision.facts import (
    UNREADABLE,
    Allowed,
    CallFacts,
    Denied,
    Principal,
    Reason,
)
from bascule.decision.gate import Gate, Pins
from bascule.decision.lines import statements
from bascule.decision.model import USE_ACTIONS
from bascule.decision.snapshot import Snapshot, build_snapshot, policy_problems

NOW = UnixTime(1_764_000_000)
CONNECTORS = {
    "tickets": Connector(url="https://tickets.example/mcp", mode="observe"),
    "time": Connector(command=("x",), mode="observe"),
}
TOOLSETS = {
    "tickets:read": ("tickets/get_*", "tickets/search", "tickets/prompt:*"),
    "time:all": ("time/*",),
}
NAMES = ("search", "get_one", "get_two", "prompt:x", "file:///a", "file:///b", "x")
KINDS: tuple[TargetKind, ...] = ("tool", "prompt", "resource")
ENTRIES = (
    "tickets/*",
    "tickets/search",
    "tickets/get_*",
    "tickets/*e*",
    "tickets/prompt:search",
    "tickets/prompt:*",
    "tickets/resource:file:///a",
    "tickets/resource:file:*",
    "tickets:read",
    "time/*",
    "time:all",
)
AGENTS = ("bot", "desk", "bascule-cli", "stranger")
MEMBERS = ("user:alice", "user:bob", "group:support", "agent:bot", "agent:desk")
SCOPES = ("mcp:tickets", "mcp:time", "narrow")

entries = st.lists(st.sampled_from(ENTRIES), max_size=3, unique=True).map(tuple)
roles = st.dictionaries(
    st.sampled_from(("a", "b")),
    st.builds(
        Role,
        members=st.lists(st.sampled_from(MEMBERS), max_size=3).map(tuple),
        allow=entries,
    ),
)
agents = st.builds(
    Agents,
    default_ceiling=entries,
    ceilings=st.dictionaries(st.sampled_from(AGENTS), entries),
)
configs = st.builds(
    Config,
    connectors=st.just(CONNECTORS),
    toolsets=st.just(TOOLSETS),
    roles=roles,
    agents=agents,
    scopes=st.fixed_dictionaries({"narrow": entries}),
)
principals = st.builds(
    Principal,
    user=st.sampled_from(("user:alice", "user:bob", None)),
    agent=st.sampled_from(AGENTS),
    groups=st.frozensets(st.sampled_from(("group:support", "group:other"))),
    scopes=st.frozensets(st.sampled_from(SCOPES)),
)
heads = st.sampled_from(
    (
        "principal, action, resource",
        'principal == Mcp::User::"alice", action, resource',
        'principal in Mcp::Group::"support", action, resource',
        'principal == Mcp::Agent::"bot", action in Mcp::Action::"use", resource',
        'principal is Mcp::Token, action == Mcp::Action::"call_tool", resource',
        'principal, action == Mcp::Action::"act_alone", resource',
        'principal, action, resource == Mcp::Tool::"tickets/search"',
        'principal, action, resource in Mcp::Toolset::"tickets:read"',
        'principal, action, resource is Mcp::Tool in Mcp::Server::"tickets"',
        'principal in Mcp::Scope::"narrow", action, resource',
    )
)
conditions = st.sampled_from(
    (
        "",
        'when { context.scopes.contains("narrow") }',
        "unless { context has user }",
        'when { context.agent == Mcp::Agent::"desk" }',
        'when { resource in Mcp::Toolset::"tickets:read" }',
        'when { resource.connector == "tickets" }',
        'when { context.now > datetime("2020-01-01T00:00:00Z") }',
        'unless { principal in Mcp::Group::"support" }',
        "when { context.scopes.isEmpty() && 9223372036854775807 + 1 > 0 }",
    )
)
policies = st.builds(
    "{}({}) {};".format, st.sampled_from(("permit", "forbid")), heads, conditions
)
written = st.lists(policies, max_size=3)


def snapshot(config: Config, texts: list[str]) -> Snapshot:
    numbered = [f'@id("p{n}") {text}\n' for n, text in enumerate(texts)]
    return build_snapshot(config, {"x.cedar": "".join(numbered)})


def calls(principal: Principal, connector: str = "tickets") -> list[CallFacts]:
    return [
        CallFacts(principal, connector, METHODS[kind], kind, name, NOW)
        for kind in KINDS
        for name in NAMES
    ]


def allowed(principal: Principal, policies: Snapshot) -> set[tuple[str, str]]:
    return {
        (call.kind, call.name)
        for call in calls(principal)
        if isinstance(decide(call, policies), Allowed)
    }


@given(configs, written, heads, conditions, principals)
def test_adding_a_forbid_never_allows_more(
    config: Config, texts: list[str], head: str, condition: str, principal: Principal
) -> None:
    before = allowed(principal, snapshot(config, texts))
    after = allowed(principal, snapshot(config, [*texts, f"forbid({head}) {condition};"]))
    assert after <= before


chains = st.lists(st.sampled_from(AGENTS) | st.just("https://a|b"), min_size=1, max_size=4)


@given(configs, written, principals, chains)
def test_adding_an_actor_never_allows_more(
    config: Config, texts: list[str], principal: Principal, chain: list[str]
) -> None:
    """Each hop counts as the agent does: all by themselves must be allowed it too."""
    policies = snapshot(config, texts)
    after = allowed(replace(principal, actors=tuple(chain)), policies)
    assert after <= allowed(replace(principal, actors=tuple(chain[1:])), policies)
    if principal.user is not None:
        for actor in chain:
            through = replace(principal, agent=actor, agent_verified=False)
            assert after <= allowed(through, policies)


digests = st.sampled_from(("one", "two", UNREADABLE, None))
pins = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(st.sampled_from(("one", "two")), max_size=2)
)
gates = st.builds(
    Gate,
    mode=st.sampled_from(("observe", "warn", "enforce")),
    missing=st.sampled_from((None, Reason.NOT_APPROVED, Reason.LOCK_DRIFTED)),
    until=st.sampled_from((None, UnixTime(NOW - 1), UnixTime(NOW + 1))),
    pins=st.fixed_dictionaries({}, optional={"tools": pins, "prompts": pins}),
)


def gated(
    config: Config, gate: Gate | None, principal: Principal, served: str | None
) -> set[tuple[str, str]]:
    policies = build_snapshot(
        config, {}, None if gate is None else {"tickets": gate, "time": None}
    )
    return {
        (call.kind, call.name)
        for call in calls(principal)
        if isinstance(decide(replace(call, definition=served), policies), Allowed)
    }


@given(configs, principals, gates, digests)
def test_a_gate_never_allows_more(
    config: Config, principal: Principal, gate: Gate, served: str | None
) -> None:
    after = gated(config, gate, principal, served)
    assert after <= gated(config, None, principal, served)
    if gate.mode != "enforce":
        assert after == gated(config, None, principal, served)


@given(
    configs,
    principals,
    gates,
    digests,
    st.sampled_from((Reason.NOT_APPROVED, Reason.APPROVAL_REJECTED)),
)
def test_taking_an_approval_away_leaves_nothing(
    config: Config, principal: Principal, gate: Gate, served: str | None, why: Reason
) -> None:
    enforcing = replace(gate, mode="enforce", missing=why)
    assert not gated(config, enforcing, principal, served)


@given(configs, principals, gates, digests, st.sampled_from(NAMES))
def test_taking_a_pin_away_never_allows_more(
    config: Config, principal: Principal, gate: Gate, served: str | None, name: str
) -> None:
    kept: Pins = {
        kind: {key: it for key, it in names.items() if key != name}
        for kind, names in gate.pins.items()
    }
    narrower = gated(config, replace(gate, pins=kept), principal, served)
    assert narrower <= gated(config, gate, principal, served)


@given(configs, principals, gates, digests, st.integers(0, 2))
def test_an_earlier_end_never_allows_more(
    config: Config, principal: Principal, gate: Gate, served: str | None, end: int
) -> None:
    ending = replace(gate, until=UnixTime(NOW - 1 + end))
    endless = replace(gate, until=None)
    assert gated(config, ending, principal, served) <= gated(
        config, endless, principal, served
    )


@given(configs, principals, st.sampled_from(SCOPES))
def test_removing_a_scope_never_allows_more(
    config: Config, principal: Principal, scope: str
) -> None:
    policies = snapshot(config, [])
    fewer = replace(principal, scopes=principal.scopes - {scope})
    assert allowed(fewer, policies) <= allowed(principal, policies)


@given(configs, principals, st.data())
def test_removing_an_entry_never_allows_more(
    config: Config, principal: Principal, data: st.DataObject
) -> None:
    def shorter(texts: tuple[str, ...]) -> tuple[str, ...]:
        return texts[: data.draw(st.integers(0, len(texts)))]

    agents = config.agents
    fewer = replace(
        config,
        roles={
            name: Role(shorter(role.members), shorter(role.allow))
            for name, role in config.roles.items()
        },
        agents=Agents(
            default_ceiling=shorter(agents.default_ceiling),
            ceilings={name: shorter(texts) for name, texts in agents.ceilings.items()},
        ),
        scopes={name: shorter(texts) for name, texts in config.scopes.items()},
    )
    assert allowed(principal, snapshot(fewer, [])) <= allowed(
        principal, snapshot(config, [])
    )


@given(configs, principals, st.sets(st.sampled_from(("a", "b"))))
def test_removing_a_role_never_allows_more(
    config: Config, principal: Principal, gone: set[str]
) -> None:
    kept = {name: role for name, role in config.roles.items() if name not in gone}
    fewer = replace(config, roles=kept)
    assert allowed(principal, snapshot(fewer, [])) <= allowed(
        principal, snapshot(config, [])
    )


def covers(entries: tuple[str, ...], kind: str, name: str) -> bool:
    """Whether entries cover a target of `tickets`, told without Cedar."""
    members = [member for text in entries for member in TOOLSETS.get(text, (text,))]
    parsed = [parse_entry(member, where="x") for member in members]
    return any(isinstance(it, Entry) and it.matches("tickets", kind, name) for it in parsed)


@given(configs, principals)
def test_generated_policies_say_what_the_tables_say(
    config: Config, principal: Principal
) -> None:
    """The conjunction, computed a second time from the tables alone."""
    policies = snapshot(config, [])
    ours = (
        {principal.user, *principal.groups}
        if principal.user
        else {f"agent:{principal.agent}"}
    )
    rights = [role.allow for role in config.roles.values() if ours & set(role.members)]
    everything = ("tickets/*",)
    cli = everything if principal.agent == "bascule-cli" else config.agents.default_ceiling
    ceiling = config.agents.ceilings.get(principal.agent, cli)
    scopes = {"mcp:tickets": everything, **config.scopes}
    held = [scopes[name] for name in principal.scopes if name in scopes]
    for call in calls(principal):
        target = (call.kind, call.name)
        expected = (
            any(covers(it, *target) for it in rights)
            and covers(ceiling, *target)
            and any(covers(it, *target) for it in held)
        )
        assert isinstance(decide(call, policies), Allowed) is expected


@given(configs, written, principals)
def test_a_list_says_what_each_call_would(
    config: Config, texts: list[str], principal: Principal
) -> None:
    """Callable ⇔ listed; and the reasons are the same, though verdicts are shared."""
    policies = snapshot(config, texts)
    for kind in KINDS:
        listed = [
            it
            for batch in decide_many(principal, "tickets", kind, NAMES, NOW, policies)
            for it in batch
        ]
        one_by_one = [
            (call.name, decide(call, policies))
            for call in calls(principal)
            if call.kind == kind
        ]
        assert listed == one_by_one


@given(configs, written, principals)
def test_slicing_changes_no_answer(
    config: Config, texts: list[str], principal: Principal
) -> None:
    """Each question put to all policies at once, as Cedar is meant to be used.

    And what a slice holds does apply, but for open conditions: lists share by that.
    """
    policies = snapshot(config, texts)
    compiled = compile_config(config).policies
    ests = {it.id: it.est for it in compiled.values()}
    parsed, _ = cedar.parse("".join(f'@id("p{n}") {it}' for n, it in enumerate(texts)))
    ests |= {it["annotations"]["id"]: it for it in parsed}
    whole = cedar.policy_set(ests)
    caller = policies.callers.of(principal, NOW)
    for call in calls(principal)[:6]:
        assert call.kind != "none"
        target = policies.target("tickets", call.kind, call.name)
        entities = cedar.with_entity(caller.entities, target.node.entity())
        for question in caller.questions:
            action = "act_alone" if question.alone else "call_tool"
            part = policies.policies.slice(action, target, question.principal)
            arguments = {
                "principal": question.principal.uid,
                "action": ("Mcp::Action", action),
                "resource": target.node.uid,
                "context": CONTEXT.replace("AGENT", principal.agent),
            }
            expected = cedar.evaluate(whole, entities, **arguments)  # type: ignore[arg-type]
            if part is None:
                assert expected == cedar.Verdict(False)
            else:
                assert cedar.evaluate(part.handle, entities, **arguments) == expected  # type: ignore[arg-type]
                for policy in part.policies:
                    if policy.is_open:
                        continue
                    alone = cedar.policy_set({policy.id: policy.est})
                    verdict = cedar.evaluate(alone, entities, **arguments)  # type: ignore[arg-type]
                    assert verdict.policies == (policy.id,)


CONTEXT = (
    '{"now":{"__extn":{"fn":"datetime","arg":"2026-01-01T00:00:00Z"}},"scopes":[],'
    '"agent":{"__entity":{"type":"Mcp::Agent","id":"AGENT"}},"method":"tools/call"}'
)


@given(configs, principals, st.sampled_from(("permit", "forbid")), st.booleans())
def test_a_policy_that_errors_always_denies(
    config: Config, principal: Principal, effect: str, named: bool
) -> None:
    head = "principal, action, resource"
    if named:
        head = f'principal == Mcp::Agent::"{principal.agent}", action, resource'
    policies = snapshot(
        config, [f"{effect}({head}) when {{ 9223372036854775807 + 1 > 0 }};"]
    )
    for call in calls(principal):
        assert decide(call, policies) == Denied(Reason.POLICY_ERROR, ("p0",))


# Hostile names: quotes, backslashes, newlines, other scripts, Cedar itself.

HOSTILE = st.one_of(
    st.text(min_size=1),
    st.sampled_from(
        (
            '"); permit(principal, action, resource); //',
            '\\"',
            "\\",
            "a\nb",
            "\x00",
            "\u202eabc",
            "principal",
            'x" in Mcp::Server::"time',
            "{{}}",
            "🪣",
            "?principal",
        )
    ),
).filter(lambda text: text.strip() == text and text.isprintable() | ("\n" in text))


@given(HOSTILE, HOSTILE)
def test_a_hostile_tool_name_means_itself_alone(name: str, other: str) -> None:
    assume("*" not in name and name != other)
    assume(not name.startswith(("prompt:", "resource:")))
    config = Config(
        connectors=CONNECTORS,
        roles={"r": Role(("user:alice",), (f"tickets/{name}",))},
        agents=Agents(default_ceiling=("tickets/*",)),
    )
    alice = Principal(user="user:alice", agent="a", scopes=frozenset({"mcp:tickets"}))
    policies = snapshot(config, [])
    call = CallFacts(alice, "tickets", "tools/call", "tool", name, NOW)
    assert isinstance(decide(call, policies), Allowed)
    assert decide(replace(call, name=other), policies) == Denied(Reason.NO_USER_RIGHT)
    moved = replace(call, connector="time")
    assert decide(moved, policies) == Denied(Reason.NO_USER_RIGHT)


@given(st.text(), st.text(), st.text())
def test_hostile_users_groups_agents_and_scopes_mean_themselves_alone(
    name: str, other: str, tool: str
) -> None:
    assume(name != other and name)
    config = Config(
        connectors=CONNECTORS,
        roles={name: Role((f"user:{name}", f"group:{name}"), ("tickets/*",))},
        agents=Agents(ceilings={name: ("tickets/*",)}),
        scopes={f"s:{name}": ("tickets/*",)},
    )
    policies = snapshot(config, [])
    good = Principal(user=f"user:{name}", agent=name, scopes=frozenset({f"s:{name}"}))
    call = CallFacts(good, "tickets", "tools/call", "tool", tool, NOW)
    assert isinstance(decide(call, policies), Allowed)
    for changed, expected in (
        ({"user": f"user:{other}"}, Reason.NO_USER_RIGHT),
        (
            {"user": f"user:{other}", "groups": frozenset({f"group:{other}"})},
            Reason.NO_USER_RIGHT,
        ),
        ({"agent": other}, Reason.ABOVE_CEILING),
        ({"scopes": frozenset({f"s:{other}"})}, Reason.INSUFFICIENT_SCOPE),
    ):
        assume(other != "bascule-cli")
        decision = decide(replace(call, principal=replace(good, **changed)), policies)
        assert decision.reason is expected
    in_group = replace(good, user=f"user:{other}", groups=frozenset({f"group:{name}"}))
    assert isinstance(decide(replace(call, principal=in_group), policies), Allowed)


PREFIXES = st.sampled_from(("", "prompt:", "resource:", "pro"))
texts_of_stars = st.builds(str.__add__, PREFIXES, st.text("ab*", max_size=8))


@example("", "*a", "prompt:a")
@example("", "**", "resource:")
@given(
    st.sampled_from(("", "resource:")),
    st.text("ab*", min_size=1, max_size=8),
    texts_of_stars,
)
def test_our_globs_are_cedars(prefix: str, pattern: str, name: str) -> None:
    entry = parse_entry(f"tickets/{prefix}{pattern}", where="x")
    assert isinstance(entry, Entry)
    kind: TargetKind = entry.kind or "tool"
    config = Config(
        connectors=CONNECTORS, roles={"r": Role(("user:alice",), (entry.text,))}
    )
    policies = snapshot(config, [])
    ests = {it.id: it.est for it in compile_config(config).policies.values()}
    caller = policies.callers.of(Principal(user="user:alice", agent="a"), NOW)
    target = policies.target("tickets", kind, name)
    verdict = cedar.evaluate(
        cedar.policy_set(ests),
        cedar.with_entity(caller.entities, target.node.entity()),
        principal=caller.questions[0].principal.uid,
        action=("Mcp::Action", USE_ACTIONS[kind]),
        resource=target.node.uid,
        context="{}",
    )
    assert verdict.allows is entry.matches("tickets", kind, name)


@given(configs)
def test_generated_policies_are_valid_cedar_text(config: Config) -> None:
    ests = {it.id: it.est for it in compile_config(config).policies.values()}
    document = {"templates": {}, "staticPolicies": ests, "templateLinks": []}
    text = cedarpy.policies_from_json_str(json.dumps(document))
    assert cedar.violations(text) == []
    assert {it["annotations"]["id"] for it in cedar.parse(text)[0]} == set(ests)


@given(st.text())
def test_any_text_is_an_entry_or_refused(text: str) -> None:
    with contextlib.suppress(EntryError):
        assert parse_entry(text, where="x[0]").text == text


@settings(max_examples=300)
@given(st.text('permit(cl,aon,res) {};"\\/\n@', max_size=60))
def test_any_text_is_policies_or_problems_on_its_lines(text: str) -> None:
    config = Config(connectors=CONNECTORS)
    lines = text.count("\n") + 1
    assert all(1 <= it.line <= lines for it in policy_problems(config, {"x.cedar": text}))


@given(st.lists(policies, max_size=5), st.text('/;" a\n', max_size=10))
def test_statements_are_counted_as_cedar_counts_them(
    texts: list[str], comment: str
) -> None:
    line = "// " + comment.replace("\n", "") + "\n"
    text = line.join(['@note("a;b\\"//") ' + it + "\n" for it in texts])
    ests, _ = cedar.parse(text)
    pieces = statements(text)
    assert len(pieces) == len(ests)
    assert [it.text.startswith("@note") for it in pieces] == [True] * len(texts)
