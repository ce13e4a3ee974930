"""A suggestion allows all that was used, and nothing that was not allowed before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.app.recorded import Recorded
from bascule.app.suggestion import suggest
from bascule.app.usage import Usage
from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.cells import Asked, Person
from bascule.decision.decide import decide
from bascule.decision.decide_many import METHODS
from bascule.decision.facts import Allowed, CallFacts, Principal
from bascule.decision.rights_diff import Everyone, difference
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
ENTRIES = ("desk/*", "desk/a", "desk/a*", "desk/prompt:*", "desk:some", "desk/resource:x:*")
USERS = (
    Person("user:alice", "user:alice", frozenset({"group:g"})),
    Person("user:bob", "user:bob"),
)
AGENTS = ("bot", "other", "bascule-cli")
TARGETS = (
    Asked("desk", "tool", "a"),
    Asked("desk", "tool", "ab"),
    Asked("desk", "tool", "b"),
    Asked("desk", "prompt", "a"),
    Asked("desk", "resource", "x:1"),
)
EVERYONE = Everyone(USERS, AGENTS, (), TARGETS)
POLICY = """
@id("extra") permit(principal == Mcp::User::"bob", action in Mcp::Action::"use", resource);
@id("careful") forbid(principal is Mcp::User, action == Mcp::Action::"call_tool",
  resource == Mcp::Tool::"desk/ab") when { context.args has path };
"""

entries = st.lists(st.sampled_from(ENTRIES), max_size=3, unique=True).map(tuple)
configs = st.builds(
    Config,
    connectors=st.just({"desk": Connector(url="https://desk.example/mcp", mode="observe")}),
    toolsets=st.just({"desk:some": ("desk/a*", "desk/prompt:a")}),
    roles=st.dictionaries(
        st.sampled_from(("one", "two")),
        st.builds(
            Role,
            members=st.lists(
                st.sampled_from(("user:alice", "user:bob", "group:g", "agent:bot")),
                max_size=3,
                unique=True,
            ).map(tuple),
            allow=entries,
        ),
    ),
    agents=st.builds(
        Agents,
        default_ceiling=entries,
        ceilings=st.dictionaries(st.sampled_from(("bot", "bascule-cli")), entries),
    ),
)
calls = st.lists(
    st.tuples(
        st.sampled_from((*USERS, None)), st.sampled_from(AGENTS), st.sampled_from(TARGETS)
    ),
    max_size=5,
)


def facts_of(user: Person | None, agent: str, asked: Asked) -> CallFacts:
    principal = Principal(
        None if user is None else user.user,
        agent,
        frozenset() if user is None else user.groups,
        frozenset({"mcp:desk"}),
    )
    return CallFacts(
        principal, "desk", METHODS[asked.kind], asked.kind, asked.name, NOW, arguments={}
    )


def used(live: Snapshot, made: list[tuple[Person | None, str, Asked]]) -> list[CallFacts]:
    facts = [facts_of(*call) for call in made]
    return [it for it in facts if isinstance(decide(it, live), Allowed)]


@settings(deadline=None, max_examples=60)
@given(configs, st.sampled_from(("", POLICY)), calls)
def test_it_never_widens_and_keeps_what_was_used(
    config: Config, policy: str, made: list[tuple[Person | None, str, Asked]]
) -> None:
    live = build_snapshot(config, {"x.cedar": policy})
    usage = Usage()
    allowed = used(live, made)
    for facts in allowed:
        call = Recorded(0, facts, "allow", "allowed", (), consented=False, missing="")
        usage.note(call, live, recent=True)
    suggested = suggest(config, live, usage)
    narrower = build_snapshot(suggested.config, {"x.cedar": policy})
    for facts in allowed:
        assert isinstance(decide(facts, narrower), Allowed), facts
    found = difference(live, narrower, EVERYONE, NOW)
    kinds = {it.change.kind for it in (*found.users, *found.agents, *found.combined)}
    assert kinds <= {"denied", "narrower"}
