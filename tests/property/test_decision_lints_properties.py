"""What is told to be in vain can be taken out, and no decision is another one."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Denied, Principal
from bascule.decision.gate import Gate
from bascule.decision.lints import lints
from bascule.decision.reach import unreachable_tools
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
TOOLS = ("get_one", "get_two", "search")
PINS = {"tools": {it: frozenset({"d"}) for it in TOOLS}, "prompts": {}}
GATES = {"desk": Gate(mode="warn", pins=PINS), "free": None}  # type: ignore[arg-type]
CONNECTORS = {
    "desk": Connector(url="https://desk.example/mcp", mode="warn"),
    "free": Connector(url="https://free.example/mcp", mode="observe"),
}
PRINCIPALS = [
    "principal",
    "principal is Mcp::User",
    'principal == Mcp::User::"alice"',
    'principal in Mcp::Group::"staff"',
    "principal is Mcp::Agent",
    'principal == Mcp::Agent::"pad"',
]
ACTIONS = ['action == Mcp::Action::"call_tool"', 'action in Mcp::Action::"use"']
RESOURCES = [
    "resource",
    "resource is Mcp::Tool",
    'resource in Mcp::Server::"desk"',
    'resource is Mcp::Tool in Mcp::Server::"desk"',
    'resource in Mcp::Toolset::"desk:read"',
    'resource == Mcp::Tool::"desk/search"',
    'resource == Mcp::Tool::"free/x"',
]
ON_TOOLS = [
    "",
    'when { context.args has p && context.args.p == "a" }',
    'when { context.args has p && context.args.p == "a" && context.args.p like "b*" }',
    "when { context.args has n && context.args.n > 3 && !(context.args.n > 2) }",
    "unless { context.args has n && context.args.n < 5 }",
    'when { resource.name == "search" }',
    'when { resource.name == "nope" }',
    "when { resource.destructive }",
]
ENTRIES = ["desk/*", "desk/get_*", "desk/get_one", "desk/search", "desk:read", "free/*"]
ARGUMENTS = [{}, {"p": "a"}, {"p": "b", "n": 1}, {"n": 3}, {"n": 9, "p": "ab"}]
FACTS = [
    CallFacts(
        Principal(user, agent, groups, frozenset({f"mcp:{connector}"})),
        connector,
        "tools/call",
        "tool",
        tool,
        NOW,
        definition="d",
        arguments=arguments,
    )
    for (user, groups), agent, (connector, tool), arguments in product(
        (
            ("user:alice", frozenset[str]()),
            ("user:bob", frozenset({"group:staff"})),
            (None, frozenset[str]()),
        ),
        ("pad", "job"),
        (("desk", "get_one"), ("desk", "search"), ("free", "x")),
        ARGUMENTS,
    )
]


@st.composite
def policies(draw: st.DrawFn) -> list[str]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        who, what = draw(st.sampled_from(PRINCIPALS)), draw(st.sampled_from(RESOURCES))
        condition = draw(st.sampled_from(ON_TOOLS))
        # Arguments and hints are those of tools.
        action = ACTIONS[0] if condition else draw(st.sampled_from(ACTIONS))
        effect = draw(st.sampled_from(("permit", "forbid")))
        found.append(f'@id("p{number}") {effect}({who}, {action}, {what}) {condition};')
    return found


entries = st.lists(st.sampled_from(ENTRIES), max_size=4, unique=True).map(tuple)


def made(allow: tuple[str, ...], ceiling: tuple[str, ...]) -> Config:
    return Config(
        connectors=CONNECTORS,
        toolsets={"desk:read": ("desk/get_*", "desk/search")},
        roles={"r": Role(members=("user:alice", "group:staff", "agent:job"), allow=allow)},
        agents=Agents(default_ceiling=ceiling),
    )


def snapshot_of(config: Config, written: list[str]) -> Snapshot:
    return build_snapshot(config, {"x.cedar": "\n".join(written)}, GATES)


def outcomes(snapshot: Snapshot) -> list[object]:
    """Decide everything: yes, or for which reason not; ids change with what is left out."""
    decisions = (decide(facts, snapshot) for facts in FACTS)
    return [it.reason if isinstance(it, Denied) else type(it) for it in decisions]


def allowed(outcomes: list[object]) -> list[bool]:
    return [isinstance(it, type) for it in outcomes]


@given(policies(), entries, entries)
@settings(max_examples=25)
def test_a_policy_in_vain_can_be_taken_out(
    written: list[str], allow: tuple[str, ...], ceiling: tuple[str, ...]
) -> None:
    config = made(allow, ceiling)
    snapshot = snapshot_of(config, written)
    expected = None
    for problem in lints(config, snapshot):
        if problem.file != "x.cedar":
            continue
        expected = expected or outcomes(snapshot)
        rest = [it for at, it in enumerate(written, 1) if at != problem.line]
        found = outcomes(snapshot_of(config, rest))
        if "never applies" in problem.message:
            # Of several reasons the first that is certain is told: another one may be.
            assert allowed(found) == allowed(expected), problem.message
        else:
            assert found == expected, problem.message


@given(entries, entries)
@settings(max_examples=20)
def test_an_entry_in_vain_can_be_taken_out(
    allow: tuple[str, ...], ceiling: tuple[str, ...]
) -> None:
    config = made(allow, ceiling)
    expected = None
    for problem in lints(config, snapshot_of(config, [])):
        if problem.where[:1] != ("roles",) or "adds nothing" not in problem.message:
            continue
        expected = expected or outcomes(snapshot_of(config, []))
        rest = tuple(it for at, it in enumerate(allow) if at != problem.where[-1])
        assert outcomes(snapshot_of(made(rest, ceiling), [])) == expected


@given(policies(), entries, entries)
@settings(max_examples=20)
def test_what_is_out_of_reach_is_never_allowed(
    written: list[str], allow: tuple[str, ...], ceiling: tuple[str, ...]
) -> None:
    snapshot = snapshot_of(made(allow, ceiling), written)
    unreachable = set(unreachable_tools(snapshot))
    for facts in FACTS:
        if f"{facts.connector}/{facts.name}" in unreachable:
            assert isinstance(decide(facts, snapshot), Denied)
