"""Properties of flows: they only ever close, and close just when they say so."""

from __future__ import annotations

import json

import cedarpy
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Flow, Role
from bascule.decision import cedar
from bascule.decision.compile import compile_config
from bascule.decision.decide import decide
from bascule.decision.entries import Entry, parse_entry
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Denied,
    Kind,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.snapshot import Snapshot, build_snapshot

NOW = UnixTime(1_764_000_000)
LABELS = ("in", "own", "out", "odd-one")
NAMES = ("read", "read_all", "send", "prompt:odd", 'a"b*\\')
ENTRIES = (
    "mail/read",
    "mail/read*",
    "mail/*send*",
    "mail/prompt:*",
    "mail/resource:send",
    "mail/*",
    'mail/a"b*\\',
    "mail:all",
)
METHODS: dict[Kind, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
}
PRINCIPALS = (
    Principal("user:alice", "desk", scopes=frozenset({"mcp:mail"})),
    Principal(None, "job", scopes=frozenset({"mcp:mail"})),
)
some_labels = st.lists(st.sampled_from(LABELS), max_size=2, unique=True).map(tuple)
labels = st.fixed_dictionaries(
    {
        label: st.lists(st.sampled_from(ENTRIES), max_size=2, unique=True).map(tuple)
        for label in LABELS
    }
)
flows = st.dictionaries(
    st.sampled_from(("one", "two")),
    st.builds(Flow, after=some_labels, after_all=some_labels, close=some_labels).filter(
        lambda flow: bool(flow.after or flow.after_all)
    ),
)
calls = st.builds(
    lambda who, kind, name, touched: CallFacts(
        who, "mail", METHODS[kind], kind, name, NOW, arguments={}, touched=touched
    ),
    st.sampled_from(PRINCIPALS),
    st.sampled_from(tuple(METHODS)),
    st.sampled_from(NAMES),
    st.frozensets(st.sampled_from(LABELS)),
)


def config(labels: dict[str, tuple[str, ...]], flows: dict[str, Flow]) -> Config:
    return Config(
        connectors={"mail": Connector(url="https://mail.example/mcp", mode="observe")},
        toolsets={"mail:all": ("mail/send", "mail/read*")},
        labels=labels,
        flows=flows,
        roles={"all": Role(("user:alice", "agent:job"), ("mail/*",))},
        agents=Agents(default_ceiling=("mail/*",)),
    )


def is_closed(config: Config, call: CallFacts) -> bool:
    """Say whether a flow closes a call, as the documentation does."""
    own = {
        label
        for label, texts in config.labels.items()
        for text in texts
        for entry in _members(config, text)
        if entry.matches(call.connector, call.kind, call.name)
    }
    return any(
        own.intersection(flow.close)
        and (
            call.touched.intersection(flow.after)
            or (flow.after_all and call.touched.issuperset(flow.after_all))
        )
        for flow in config.flows.values()
    )


def _members(config: Config, text: str) -> list[Entry]:
    parsed = (parse_entry(it, where="x") for it in config.toolsets.get(text, (text,)))
    return [it for it in parsed if isinstance(it, Entry)]


def decided(call: CallFacts, snapshot: Snapshot) -> Allowed | Denied:
    decision = decide(call, snapshot)
    assert not isinstance(decision, Maybe)
    return decision


@given(labels, flows, st.lists(calls, min_size=1, max_size=6))
def test_a_flow_closes_just_what_it_says(
    labels: dict[str, tuple[str, ...]], flows: dict[str, Flow], calls: list[CallFacts]
) -> None:
    configured = config(labels, flows)
    snapshot = build_snapshot(configured, {})
    for call in calls:  # what is remembered of one must not answer for another
        expected = Reason.FLOW_CLOSED if is_closed(configured, call) else Reason.ALLOWED
        assert decided(call, snapshot).reason is expected


@given(labels, flows, calls, st.frozensets(st.sampled_from(LABELS)))
def test_touching_more_never_allows_more(
    labels: dict[str, tuple[str, ...]],
    flows: dict[str, Flow],
    call: CallFacts,
    more: frozenset[str],
) -> None:
    snapshot = build_snapshot(config(labels, flows), {})
    touched = CallFacts(
        call.principal,
        call.connector,
        call.method,
        call.kind,
        call.name,
        NOW,
        arguments={},
        touched=call.touched | more,
    )
    if isinstance(decided(touched, snapshot), Allowed):
        assert isinstance(decided(call, snapshot), Allowed)


@given(labels, flows, calls)
def test_what_may_be_closed_is_asked_for_and_nothing_else(
    labels: dict[str, tuple[str, ...]], flows: dict[str, Flow], call: CallFacts
) -> None:
    configured = config(labels, flows)
    snapshot = build_snapshot(configured, {})
    assert call.kind != "none"
    concern = snapshot.concerns.of("mail", call.kind, call.name)
    touched_all = CallFacts(
        call.principal,
        "mail",
        call.method,
        call.kind,
        call.name,
        NOW,
        arguments={},
        touched=frozenset(LABELS),
    )
    asks = concern is not None and concern.asks
    assert asks == is_closed(configured, touched_all)


@given(labels, flows)
def test_policies_of_flows_are_valid_cedar(
    labels: dict[str, tuple[str, ...]], flows: dict[str, Flow]
) -> None:
    compiled = compile_config(config(labels, flows))
    ests = {it.id: it.est for it in compiled.policies.values()}
    document = {"templates": {}, "staticPolicies": ests, "templateLinks": []}
    text = cedarpy.policies_from_json_str(json.dumps(document))
    assert cedar.violations(text) == []
    assert not [it for it in compiled.problems if it.severity == "error"]
