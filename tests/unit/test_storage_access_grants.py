"""Access grants on both engines: asked for, decided once, over in time, ended for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.decision.granted import Granted
from bascule.identity.revocation import Kind
from bascule.storage import (
    access_grants,
    access_requests,
    counters,
    directory,
    revocations,
    users,
)
from bascule.storage.access_grants import MAX_SECONDS, AccessGrant, Decision
from bascule.storage.access_requests import KEEP_SECONDS, REQUEST_SECONDS, Wanted
from bascule.storage.store import Store
from oauth_state import NOW, fill
from postgres import OpenStore

HOUR = 3600
WANTED = Wanted("user:alice", "app", "desk", ("desk/search",), HOUR, "a ticket")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


def ask(
    store: Store, grant_id: str = "g", wanted: Wanted = WANTED, now: int = NOW
) -> AccessGrant | None:
    work = partial(access_requests.ask, grant_id=grant_id, wanted=wanted, by="ops")
    return store.run(partial(work, now=UnixTime(now)))


def decide(
    store: Store,
    decision: Decision = "grant",
    grant_id: str = "g",
    now: int = NOW,
    seconds: int | None = None,
) -> AccessGrant | None:
    work = partial(access_requests.decide, grant_id=grant_id, decision=decision, by="boss")
    return store.run(partial(work, seconds=seconds, reason="why not", now=UnixTime(now)))


def in_force(store: Store, now: int = NOW) -> tuple[Granted, ...]:
    return store.read(partial(access_grants.in_force, now=UnixTime(now)))


def found(store: Store, grant_id: str = "g") -> AccessGrant:
    it = store.read(partial(access_grants.find, grant_id=grant_id))
    assert it is not None
    return it


def test_a_request_gives_nothing_until_it_is_granted(store: Store) -> None:
    assert ask(store) is not None
    assert in_force(store) == ()
    assert found(store).state(NOW) == "requested"
    granted = decide(store, now=NOW + 10)
    assert granted is not None
    assert granted.state(UnixTime(NOW + 10)) == "active"
    assert in_force(store, NOW + 10) == (
        Granted("g", "user:alice", "app", ("desk/search",), UnixTime(NOW + 10 + HOUR)),
    )


def test_a_grant_is_over_to_the_second(store: Store) -> None:
    ask(store)
    decide(store)
    assert in_force(store, NOW + HOUR - 1)
    assert in_force(store, NOW + HOUR) == ()
    assert found(store).state(UnixTime(NOW + HOUR)) == "expired"


@pytest.mark.parametrize("first", ["grant", "deny"])
def test_a_request_is_decided_once(store: Store, first: Decision) -> None:
    ask(store)
    assert decide(store, first) is not None
    for second in ("grant", "deny"):
        assert decide(store, second) is None  # type: ignore[arg-type]
    assert found(store).decision == first


def test_of_many_decisions_at_once_one_counts(store: Store) -> None:
    ask(store)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda it: decide(store, it), ["grant", "deny"] * 2))  # type: ignore[arg-type]
    assert sum(it is not None for it in answers) == 1


def test_a_request_waits_for_a_week_at_most(store: Store) -> None:
    ask(store)
    assert decide(store, now=NOW + REQUEST_SECONDS) is None
    assert found(store).state(UnixTime(NOW + REQUEST_SECONDS)) == "expired"


def test_who_decides_may_give_less_time_and_never_more(store: Store) -> None:
    for name, seconds, given in (("a", 60, 60), ("b", 10 * HOUR, HOUR)):
        ask(store, name)
        decided = decide(store, grant_id=name, seconds=seconds)
        assert decided is not None
        assert (decided.seconds, decided.expires_at) == (given, NOW + given)


@pytest.mark.parametrize("seconds", [0, -1, MAX_SECONDS + 1])
def test_no_grant_is_for_no_time_or_for_too_long(store: Store, seconds: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        ask(store, wanted=Wanted("user:alice", None, "desk", ("desk/*",), seconds, "x"))


@pytest.mark.parametrize(
    ("user", "agent"), [("user:nobody", None), ("user:alice", "unknown"), (None, "unknown")]
)
def test_nobody_unknown_is_granted_anything(
    store: Store, user: str | None, agent: str | None
) -> None:
    assert ask(store, wanted=Wanted(user, agent, "desk", ("desk/*",), 60, "x")) is None


def test_a_foreign_user_is_vouched_for_by_its_issuer(store: Store) -> None:
    foreign = Wanted("user:https://idp|7", "https://idp|app", "desk", ("desk/*",), 60, "x")
    assert ask(store, wanted=foreign) is not None
    assert decide(store) is not None


def test_who_is_disabled_meanwhile_is_not_granted_it(store: Store) -> None:
    ask(store)
    store.run(partial(users.disable, name="alice", now=NOW))
    assert decide(store) is None


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("all", ""),
        ("user", "user:alice"),
        ("agent", "app"),
        ("connector", "desk"),
        ("grant", "g"),
    ],
)
@pytest.mark.parametrize("granted", [True, False])
def test_a_revocation_ends_what_it_names(
    store: Store, kind: Kind, key: str, granted: bool
) -> None:
    ask(store)
    if granted:
        decide(store)
    work = partial(revocations.revoke, kind=kind, key=key, reason="lost laptop")
    store.run(partial(work, now=NOW))
    assert in_force(store) == ()
    assert decide(store) is None
    assert found(store).state(NOW) == "ended"
    assert found(store).end_reason == "lost laptop"


@pytest.mark.parametrize(
    ("kind", "key"),
    [("user", "user:bob"), ("agent", "other"), ("connector", "shop"), ("jti", "g")],
)
def test_a_revocation_of_something_else_ends_nothing(
    store: Store, kind: Kind, key: str
) -> None:
    ask(store)
    decide(store)
    before = store.read(access_grants.generation)
    store.run(partial(revocations.revoke, kind=kind, key=key, reason="x", now=NOW))
    assert len(in_force(store)) == 1
    assert store.read(access_grants.generation) == before


def test_a_clock_that_is_set_back_brings_nothing_back(store: Store) -> None:
    ask(store)
    decide(store)
    later = UnixTime(NOW + 2 * HOUR)
    store.run(partial(revocations.revoke, kind="all", key="", reason="x", now=later))
    assert in_force(store, NOW) == ()


def test_enabling_a_user_again_brings_nothing_back(store: Store) -> None:
    ask(store)
    decide(store)
    store.run(partial(users.disable, name="alice", now=NOW))
    store.run(partial(users.enable, name="alice"))
    assert in_force(store) == ()


def test_a_grant_is_ended_once(store: Store) -> None:
    ask(store)
    decide(store)
    work = partial(access_grants.end, grant_id="g", reason="done", now=NOW)
    assert store.run(work)
    assert not store.run(work)
    assert in_force(store) == ()
    assert found(store).state(NOW) == "ended"


@pytest.mark.parametrize("change", ["grant", "deny"])
def test_each_change_is_told_to_those_who_serve(store: Store, change: Decision) -> None:
    ask(store)
    before = store.read(access_grants.generation), store.read(directory.generation)
    decide(store, change)
    after = store.read(access_grants.generation), store.read(directory.generation)
    assert all(new > old for old, new in zip(before, after, strict=True))


def test_an_older_copy_of_the_state_gives_no_rights(store: Store) -> None:
    ask(store)
    decide(store)
    known = store.read(partial(counters.value, name="generation")) + 1
    work = partial(revocations.distrust_restored, known_generation=known, now=NOW)
    assert store.run(work)
    assert in_force(store) == ()


def test_what_is_long_over_is_forgotten(store: Store) -> None:
    ask(store)
    decide(store)
    ask(store, "later", now=NOW + HOUR + KEEP_SECONDS)
    assert len(store.read(access_grants.every)) == 2
    ask(store, "last", now=NOW + HOUR + KEEP_SECONDS + 1)
    assert [it.id for it in store.read(access_grants.every)] == ["later", "last"]
