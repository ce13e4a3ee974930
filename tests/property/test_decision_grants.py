"""Grants and memberships for a time: what they can add, to whom, and when they are over."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Config, Role, TimedMember
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, Principal
from bascule.decision.granted import Granted
from bascule.decision.snapshot import Snapshot, with_grants
from property.test_decision_properties import (
    AGENTS,
    ENTRIES,
    KINDS,
    NAMES,
    NOW,
    allowed,
    calls,
    configs,
    entries,
    principals,
    snapshot,
    written,
)

few = settings(max_examples=40)
"""Each asks for dozens of decisions."""
ends = st.sampled_from((UnixTime(NOW - 1), NOW, UnixTime(NOW + 1)))
grants = st.lists(
    st.builds(
        Granted,
        id=st.uuids().map(str),
        user=st.sampled_from(("user:alice", "user:bob", None)),
        agent=st.sampled_from((*AGENTS, None)),
        entries=st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=2).map(tuple),
        expires_at=ends,
    ),
    max_size=3,
    unique_by=lambda it: it.id,
).map(tuple)


def concerns(granted: Granted, who: Principal) -> bool:
    """Whether a grant could be about somebody, at the moment that is decided."""
    of_user = granted.user == who.user and granted.agent in {None, who.agent}
    alone = granted.user is None and who.user is None and granted.agent == who.agent
    return granted.expires_at > NOW and (alone or (of_user and who.user is not None))


@few
@given(configs, written, grants, principals)
def test_a_grant_adds_something_for_whom_it_names_and_nothing_for_others(
    config: Config, texts: list[str], given_: tuple[Granted, ...], who: Principal
) -> None:
    before = snapshot(config, texts)
    had, has = allowed(who, before), allowed(who, with_grants(before, given_))
    assert had <= has
    if not any(concerns(it, who) for it in given_):
        assert had == has


@few
@given(configs, written, grants, principals)
def test_a_grant_gives_no_more_than_a_role_of_everything_would(
    config: Config, texts: list[str], given_: tuple[Granted, ...], who: Principal
) -> None:
    """So ceilings, scopes and every forbid bound it."""
    names = (who.user or f"agent:{who.agent}",)
    all_ = Role(members=names, allow=("tickets/*", "time/*"))
    most = replace(config, roles={**config.roles, "everything": all_})
    granted = with_grants(snapshot(config, texts), given_)
    assert allowed(who, granted) <= allowed(who, snapshot(most, texts))


@few
@given(configs, written, grants, principals)
def test_a_grant_is_as_good_as_a_role_of_the_same_entries(
    config: Config, texts: list[str], given_: tuple[Granted, ...], who: Principal
) -> None:
    own = [it for it in given_ if concerns(it, who)]
    member = who.user or f"agent:{who.agent}"
    roles = {f"g{n}": Role((member,), it.entries) for n, it in enumerate(own)}
    same = replace(config, roles={**config.roles, **roles})
    granted = with_grants(snapshot(config, texts), given_)
    assert allowed(who, granted) == allowed(who, snapshot(same, texts))


@few
@given(configs, written, grants, principals, ends)
def test_a_list_says_of_granted_names_what_calls_would_at_any_time(
    config: Config,
    texts: list[str],
    given_: tuple[Granted, ...],
    who: Principal,
    now: UnixTime,
) -> None:
    policies = with_grants(snapshot(config, texts), given_)
    listed = {
        (kind, name)
        for kind in KINDS
        for batch in decide_many(who, "tickets", kind, NAMES, now, policies)
        for name, decision in batch
        if isinstance(decision, Allowed)
    }
    assert listed == allowed_at(who, policies, now)


def allowed_at(who: Principal, policies: Snapshot, now: UnixTime) -> set[tuple[str, str]]:
    return {
        (call.kind, call.name)
        for call in calls(who)
        if isinstance(decide(replace(call, now=now), policies), Allowed)
    }


@few
@given(configs, entries, principals, st.lists(ends, min_size=1, max_size=4))
def test_a_member_for_a_time_is_a_member_until_then_and_no_longer(
    config: Config, allow: tuple[str, ...], who: Principal, moments: list[UnixTime]
) -> None:
    """Asked at any moments in any order, of one snapshot."""
    member = who.user or f"agent:{who.agent}"
    roles = dict(config.roles)
    roles.pop("a", None)
    without = snapshot(replace(config, roles=roles), [])
    always = snapshot(replace(config, roles={**roles, "a": Role((member,), allow)}), [])
    timed = with_member_until_now(replace(config, roles=roles), member, allow)
    for now in moments:
        expected = always if now < NOW else without
        assert allowed_at(who, timed, now) == allowed_at(who, expected, now)


def with_member_until_now(config: Config, member: str, allow: tuple[str, ...]) -> Snapshot:
    """Make a snapshot in which somebody has a role until `NOW`."""
    until = TimedMember(who=member, until=datetime.fromtimestamp(NOW, UTC))
    return snapshot(replace(config, roles={**config.roles, "a": Role((until,), allow)}), [])
