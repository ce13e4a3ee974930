"""What obligations come to, said by policies that have none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Consent,
    Decision,
    Denied,
    Principal,
    Reason,
)
from bascule.decision.snapshot import build_snapshot

NOW = UnixTime(1_764_000_000)
CONFIG = Config(
    connectors={"tickets": Connector(url="https://tickets.example/mcp", mode="observe")},
    roles={"staff": Role(members=("user:alice",), allow=("tickets/get",))},
    agents=Agents(default_ceiling=("tickets/*",)),
)
HEADS = (
    "principal",
    'principal == Mcp::User::"alice"',
    'principal == Mcp::Agent::"desk"',
    "principal is Mcp::Token",
)
CONDITIONS = (
    "",
    'when { resource.name like "d*" }',
    'when { context.scopes.contains("mcp:tickets") }',
    "when { resource.destructive }",
    "unless { context has user }",
    'when { context.touched.contains("web") }',
    'unless { context.touched.contains("mail") }',
    "when { context.scopes.isEmpty() || 9223372036854775807 + 1 > 0 }",
)
POLICIES = st.tuples(
    st.sampled_from(("permit", "forbid")),
    st.booleans(),
    st.sampled_from(HEADS),
    st.sampled_from(CONDITIONS),
)
Written = list[tuple[str, bool, str, str]]


def text(policies: Written) -> str:
    written = []
    for n, (effect, obliges, head, condition) in enumerate(policies):
        annotation = '@obligation("approve")' if obliges else ""
        written.append(
            f'@id("p{n}") {annotation} {effect}({head}, action == '
            f'Mcp::Action::"call_tool", resource) {condition};\n'
        )
    return "".join(written)


def decided(policies: Written, facts: CallFacts) -> Decision:
    return decide(facts, build_snapshot(CONFIG, {"x.cedar": text(policies)}))


def as_if_met(policies: Written) -> Written:
    return [
        (e, False, h, c) for e, obliges, h, c in policies if not (e == "forbid" and obliges)
    ]


def as_if_never(policies: Written) -> Written:
    return [
        (e, False, h, c) for e, obliges, h, c in policies if not (e == "permit" and obliges)
    ]


@settings(max_examples=60)
@given(
    st.lists(POLICIES, max_size=5),
    st.sampled_from(("get", "delete")),
    st.sampled_from(("user:alice", "user:bob", None)),
    st.sampled_from((frozenset(), frozenset({"web"}), frozenset({"web", "mail"}))),
)
def test_an_obligation_forbids_without_consent_and_is_not_there_with_it(
    policies: Written, name: str, user: str | None, touched: frozenset[str]
) -> None:
    principal = Principal(user, "desk", scopes=frozenset({"mcp:tickets"}))
    facts = CallFacts(
        principal,
        "tickets",
        "tools/call",
        "tool",
        name,
        NOW,
        arguments={},
        touched=touched,
    )
    without = decided(policies, facts)
    if isinstance(without, Denied) and without.reason is Reason.POLICY_ERROR:
        return  # a policy that fails denies, met or not
    never = decided(as_if_never(policies), facts)
    met = decided(as_if_met(policies), facts)
    assert isinstance(without, Allowed) == isinstance(never, Allowed)
    waits = isinstance(without, Denied) and without.reason is Reason.APPROVAL_REQUIRED
    assert isinstance(met, Allowed) == (waits or isinstance(without, Allowed))
    if isinstance(without, Denied) and without.call is not None:
        consented = replace(facts, consent=Consent(without.call.binding))
        assert isinstance(decided(policies, consented), Allowed)
    snapshot = build_snapshot(CONFIG, {"x.cedar": text(policies)})
    listing = decide_many(principal, "tickets", "tool", (name,), NOW, snapshot)
    ((_, listed),) = next(iter(listing))
    if "touched" in text(policies):  # what was touched may be another thing by then
        assert not (isinstance(listed, Denied) and isinstance(met, Allowed))
    else:
        assert isinstance(listed, Denied) != isinstance(met, Allowed)
