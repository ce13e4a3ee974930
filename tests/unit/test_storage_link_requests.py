"""Link requests on both engines: for one user, for one attempt, not for long."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import link_requests, linked_accounts, revocations
from bascule.storage.link_requests import (
    LIFETIME_SECONDS,
    MAX_OPEN,
    LinkRequest,
    State,
    digest,
)
from bascule.storage.linked_accounts import LinkedAccount
from bascule.storage.store import Store
from oauth_state import NOW, fill
from postgres import OpenStore

STATE = digest("the state")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


def ask(
    store: Store, link_id: str = "a", *, connector: str = "desk", now: int = NOW
) -> None:
    work = partial(link_requests.ask, link_id=link_id, user="user:alice", agent="app")
    scope = ("read", "write")
    store.run(partial(work, connector=connector, scope=scope, now=UnixTime(now)))


def find(store: Store, link_id: str = "a", now: int = NOW) -> LinkRequest | None:
    work = partial(link_requests.find, id_hash=digest(link_id), now=UnixTime(now))
    return store.read(work)


def state_of(store: Store, link_id: str = "a", now: int = NOW) -> State | None:
    found = find(store, link_id, now)
    return None if found is None else found.state


def start(
    store: Store, link_id: str = "a", *, state: bytes = STATE, now: int = NOW
) -> bool:
    work = partial(link_requests.start, id_hash=digest(link_id), state_hash=state)
    return store.run(partial(work, flow=b"sealed", now=UnixTime(now)))


def take(
    store: Store, *, state: bytes = STATE, user: str = "user:alice", now: int = NOW
) -> LinkRequest | None:
    work = partial(link_requests.take, state_hash=state, user=user, now=UnixTime(now))
    return store.run(work)


def finish(store: Store, *, linked: bool = True, now: int = NOW) -> bool:
    work = partial(link_requests.finish, id_hash=digest("a"), linked=linked)
    return store.run(partial(work, now=UnixTime(now)))


def test_a_request_goes_from_open_to_linked_and_tells_what_it_was_for(store: Store) -> None:
    ask(store)
    found = find(store)
    assert found is not None
    assert (found.user, found.agent, found.connector) == ("user:alice", "app", "desk")
    assert (found.scope, found.state, found.flow) == (("read", "write"), "open", None)
    assert start(store)
    assert state_of(store) == "started"
    taken = take(store)
    assert taken is not None
    assert taken.flow == b"sealed"
    assert state_of(store) == "returned"
    assert finish(store)
    assert state_of(store) == "linked"
    assert state_of(store, now=NOW + LIFETIME_SECONDS) == "linked"


def test_the_database_holds_neither_id_nor_state(store: Store) -> None:
    ask(store, "the-id-in-the-link")
    start(store, "the-id-in-the-link")
    dump = str(find(store, "the-id-in-the-link"))
    assert "the-id-in-the-link" not in dump
    assert "sealed" not in dump


def test_each_step_is_done_once(store: Store) -> None:
    ask(store)
    assert not finish(store)
    assert start(store, state=digest("gave up"))
    assert start(store)
    assert take(store, state=digest("gave up")) is None
    assert take(store) is not None
    assert not start(store)
    assert take(store) is None
    assert finish(store, linked=False)
    assert not finish(store)
    assert state_of(store) == "failed"
    assert not start(store)


def test_of_many_who_come_back_at_once_one_does(store: Store) -> None:
    ask(store)
    start(store)
    with ThreadPoolExecutor(4) as pool:
        came = [it for it in pool.map(lambda _: take(store), range(8)) if it is not None]
    assert len(came) == 1


def test_another_user_takes_nothing_and_spoils_nothing(store: Store) -> None:
    ask(store)
    start(store)
    assert take(store, user="user:bob") is None
    assert take(store, state=digest("guessed")) is None
    assert take(store) is not None


@pytest.mark.parametrize("step", ["open", "started", "returned"])
def test_what_is_late_goes_no_further(store: Store, step: State) -> None:
    late = NOW + LIFETIME_SECONDS
    ask(store)
    if step != "open":
        start(store)
    if step == "returned":
        take(store)
    assert state_of(store, now=late - 1) == step
    assert state_of(store, now=late) == "over"
    assert not start(store, now=late)
    assert take(store, now=late) is None
    assert not finish(store, now=late)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("user", "user:alice"), ("agent", "app"), ("connector", "desk"), ("all", "")],
)
def test_a_revocation_ends_those_that_are_under_way(
    store: Store, kind: Kind, key: str
) -> None:
    ask(store)
    start(store)
    end = partial(revocations.revoke, kind=kind, key=key, reason="lost", now=NOW)
    store.run(end)
    assert take(store) is None
    assert state_of(store) == "over"
    ask(store, "b", now=NOW + 2)
    assert state_of(store, "b", now=NOW + 2) == "open"


def test_many_requests_end_the_oldest_that_nobody_has_begun(store: Store) -> None:
    ask(store, "begun")
    start(store, "begun")
    ask(store, "other", connector="time")
    for number in range(MAX_OPEN + 2):
        ask(store, str(number))
    gone = [it for it in map(str, range(MAX_OPEN + 2)) if find(store, it) is None]
    assert gone == ["0", "1"]
    assert state_of(store, "begun") == "started"
    assert state_of(store, "other") == "open"


def test_a_waiting_client_sees_when_there_is_nothing_to_wait_for(store: Store) -> None:
    def waits(now: int = NOW) -> bool:
        found = find(store, now=now)
        return found is not None and found.is_waiting

    assert not waits()
    ask(store)
    assert waits()
    assert not waits(NOW + LIFETIME_SECONDS)
    start(store)
    take(store)
    assert waits()
    finish(store, linked=False)
    assert not waits()


def is_settled(store: Store, *, agent: str = "app", now: int = NOW) -> bool:
    work = partial(link_requests.is_settled, user="user:alice", agent=agent)
    return store.read(partial(work, connector="desk", now=UnixTime(now)))


def test_nothing_is_to_be_waited_for_once_what_was_asked_last_is_done(store: Store) -> None:
    assert is_settled(store)
    ask(store)
    assert not is_settled(store)
    assert is_settled(store, agent="another")
    assert is_settled(store, now=NOW + LIFETIME_SECONDS)
    start(store)
    take(store)
    assert not is_settled(store)
    finish(store, linked=False)
    assert is_settled(store)
    ask(store, "b", now=NOW + 1)
    assert not is_settled(store, now=NOW + 1)
    account = LinkedAccount(
        id="one",
        user="user:alice",
        connector="desk",
        resource="https://desk.example/mcp",
        issuer="https://as.example",
        scope=("read",),
        version=1,
        expires_at=UnixTime(0),
        linked_at=UnixTime(NOW + 1),
        refreshed_at=NOW,
    )
    store.run(partial(linked_accounts.add, account=account))
    assert is_settled(store, now=NOW + 1)  # another of its links led there
    ask(store, "c", now=NOW + 2)
    assert not is_settled(store, now=NOW + 2)


def test_who_went_and_did_not_come_back_is_known(store: Store) -> None:
    def was_left() -> bool:
        work = partial(link_requests.was_left, user="user:alice", connector="desk")
        return store.read(work)

    ask(store)
    assert not was_left()
    start(store)
    assert was_left()
    take(store)
    assert not was_left()


def test_what_is_long_over_is_forgotten(store: Store) -> None:
    ask(store)
    ask(store, "b", now=NOW + 2 * LIFETIME_SECONDS)
    assert find(store) is None
