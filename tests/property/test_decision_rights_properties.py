"""A difference of rights is what deciding each call one by one finds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.cells import Asked, Person
from bascule.decision.decide import decide
from bascule.decision.decide_many import METHODS
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Principal
from bascule.decision.problems import PolicyError
from bascule.decision.rights import OTHER_AGENT
from bascule.decision.rights_diff import Block, Change, Difference, Everyone, difference
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
LATER = UnixTime(NOW + 400 * 86_400)
CONNECTORS = {
    name: Connector(url=f"https://{name}.example/mcp", mode="observe")
    for name in ("tickets", "mail")
}
ENTRIES = (
    "tickets/*",
    "tickets/search",
    "tickets/get_*",
    "tickets/prompt:*",
    "tickets:read",
    "mail/*",
    "mail/send",
)
USERS = (
    Person("user:alice", "user:alice", frozenset({"group:support"})),
    Person("user:bob", "user:bob"),
    Person("user:carol", "user:carol", frozenset({"group:support"})),
)
AGENTS = ("bot", "desk", "bascule-cli", OTHER_AGENT)
TARGETS = (
    Asked("tickets", "tool", "search"),
    Asked("tickets", "tool", "get_one"),
    Asked("tickets", "tool", "get_two"),
    Asked("tickets", "prompt", "search"),
    Asked("tickets", "resource", "file:///a"),
    Asked("mail", "tool", "send"),
)
EVERYONE = Everyone(USERS, AGENTS, ("narrow", "mcp:tickets"), TARGETS)

entries = st.lists(st.sampled_from(ENTRIES), max_size=3, unique=True).map(tuple)
members = st.lists(
    st.sampled_from(("user:alice", "user:bob", "group:support", "agent:bot")),
    max_size=2,
    unique=True,
).map(tuple)
configs = st.builds(
    Config,
    connectors=st.sampled_from((CONNECTORS, {"tickets": CONNECTORS["tickets"]})),
    toolsets=st.sampled_from(
        (
            {"tickets:read": ("tickets/search",)},
            {"tickets:read": ("tickets/get_*", "tickets/prompt:*")},
        )
    ),
    roles=st.dictionaries(
        st.sampled_from(("a", "b")), st.builds(Role, members=members, allow=entries)
    ),
    agents=st.builds(
        Agents,
        default_ceiling=entries,
        ceilings=st.dictionaries(st.sampled_from(AGENTS[:3]), entries),
    ),
    scopes=st.fixed_dictionaries({"narrow": entries}),
)
heads = st.sampled_from(
    (
        "principal, action, resource",
        'principal == Mcp::User::"alice", action, resource',
        'principal in Mcp::Group::"support", action, resource',
        'principal == Mcp::Agent::"bot", action in Mcp::Action::"use", resource',
        'principal is Mcp::Token, action in Mcp::Action::"use", resource',
        'principal, action == Mcp::Action::"act_alone", resource',
        'principal is Mcp::User, action == Mcp::Action::"call_tool", '
        'resource == Mcp::Tool::"tickets/search"',
        'principal, action, resource in Mcp::Toolset::"tickets:read"',
    )
)
general = st.sampled_from(
    (
        "",
        'when { context.scopes.contains("mcp:tickets") }',
        "unless { context has user }",
        'when { context.agent == Mcp::Agent::"desk" }',
        'when { context has user && context.user == Mcp::User::"bob" }',
        'when { resource in Mcp::Toolset::"tickets:read" }',
        'when { context.now > datetime("2026-06-01T00:00:00Z") }',
        'unless { principal in Mcp::Group::"support" }',
        "when { context.scopes.isEmpty() && 9223372036854775807 + 1 > 0 }",
    )
)
of_calls = st.sampled_from(
    (
        'when { context.args has path && context.args.path like "/srv/*" }',
        'unless { context.args has path && context.args.path == "/srv/a" }',
        'when { context.touched.contains("secret") }',
        'when { context.args has path && resource in Mcp::Toolset::"tickets:read" }',
    )
)
policies = st.builds(
    "{}({}) {};".format, st.sampled_from(("permit", "forbid")), heads, general
) | st.builds(
    '{}(principal{}, action == Mcp::Action::"call_tool", resource) {};'.format,
    st.sampled_from(("permit", "forbid")),
    st.sampled_from(("", ' == Mcp::User::"alice"', " is Mcp::Agent", " is Mcp::User")),
    of_calls,
)
written = st.lists(policies, max_size=3)


def snapshot(config: Config, texts: list[str]) -> Snapshot:
    numbered = [f'@id("p{n}") {text}\n' for n, text in enumerate(texts)]
    try:
        return build_snapshot(config, {"x.cedar": "".join(numbered)})
    except PolicyError:
        assume(False)
        raise


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Snapshot, Snapshot]:
    """Draw two snapshots that are mostly alike, as before and after a change."""
    config, texts = draw(configs), draw(written)
    other = draw(configs)
    parts = draw(
        st.sets(st.sampled_from(("toolsets", "roles", "agents", "scopes", "connectors")))
    )
    changed = replace(config, **{part: getattr(other, part) for part in parts})
    return snapshot(config, texts), snapshot(changed, draw(written | st.just(texts)))


def facts(
    user: Person | None, agent: str, asked: Asked, now: UnixTime = NOW, **more: Any
) -> CallFacts:
    principal = Principal(
        None if user is None else user.user,
        agent,
        frozenset() if user is None else user.groups,
        frozenset({f"mcp:{asked.connector}"}),
    )
    method = METHODS[asked.kind]
    return CallFacts(principal, *asked[:1], method, asked.kind, asked.name, now, **more)


def answered(decision: Decision) -> str:
    if isinstance(decision, Denied):
        return "deny"
    return "allow" if isinstance(decision, Allowed) else "maybe"


def expanded(blocks: list[Block]) -> dict[tuple[str | None, str, str], Change]:
    found: dict[tuple[str | None, str, str], Change] = {}
    for block in blocks:
        for key in product(block.users, block.agents, block.targets):
            assert key not in found, "said twice"
            found[key] = block.change
    return found


def calls() -> Iterator[tuple[tuple[str | None, str, str], CallFacts]]:
    for user, agent, asked in product((*USERS, None), AGENTS, TARGETS):
        label = None if user is None else user.label
        yield (label, agent, asked.entry), facts(user, agent, asked)


@settings(deadline=None, max_examples=25)
@given(pairs())
def test_what_is_said_to_change_is_what_each_decision_says(
    both: tuple[Snapshot, Snapshot],
) -> None:
    before, after = both
    found = expanded(difference(before, after, EVERYONE, NOW).combined)
    for key, call in calls():
        old, new = answered(decide(call, before)), answered(decide(call, after))
        change = found.get(key)
        if change is None:
            assert old == new, key
            continue
        assert (change.before, change.after) == (old, new), key
        assert (old == new) == (change.kind == "conditions"), key


ARGUMENTS: tuple[dict[str, Any], ...] = ({}, {"path": "/srv/a"}, {"path": "/srv/b"})


@settings(deadline=None, max_examples=25)
@given(pairs())
def test_no_call_at_no_time_is_decided_otherwise_unless_that_is_said(
    both: tuple[Snapshot, Snapshot],
) -> None:
    before, after = both
    found = expanded(difference(before, after, EVERYONE, NOW).combined)
    for key, call in calls():
        if key in found:
            continue
        for now, arguments, touched in product(
            (NOW, LATER), ARGUMENTS, (frozenset(), frozenset({"secret"}))
        ):
            one = replace(call, now=now, arguments=arguments, touched=touched)
            old, new = decide(one, before), decide(one, after)
            assert isinstance(old, Denied) == isinstance(new, Denied), (key, one)


@settings(deadline=None, max_examples=10)
@given(configs, written)
def test_nothing_differs_from_itself(config: Config, texts: list[str]) -> None:
    one, other = snapshot(config, texts), snapshot(config, texts)
    found = difference(one, other, EVERYONE, NOW)
    assert found == Difference([], [], [], [])


@settings(deadline=None, max_examples=10)
@given(pairs())
def test_what_changes_together_changes_by_itself_too(
    both: tuple[Snapshot, Snapshot],
) -> None:
    before, after = both
    found = difference(before, after, EVERYONE, NOW)
    apart = found.users or found.agents or found.scopes
    assert apart or not found.combined
