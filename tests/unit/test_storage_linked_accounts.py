"""Linked accounts on both engines: one per user and connector, one refresh at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import directory, linked_accounts, revocations
from bascule.storage.linked_accounts import LEASE_SECONDS, LinkedAccount
from bascule.storage.retries import RETRY_SECONDS
from bascule.storage.store import Store
from oauth_state import NOW, fill
from postgres import OpenStore


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


def account(
    account_id: str = "one", user: str = "user:alice", connector: str = "desk"
) -> LinkedAccount:
    return LinkedAccount(
        id=account_id,
        user=user,
        connector=connector,
        resource="https://desk.example/mcp",
        issuer="https://as.example",
        scope=("read",),
        version=1,
        expires_at=UnixTime(NOW + 600),
        linked_at=NOW,
        refreshed_at=NOW,
    )


def add(store: Store, it: LinkedAccount | None = None) -> str | None:
    return store.run(partial(linked_accounts.add, account=it or account()))


def live(
    store: Store, user: str = "user:alice", connector: str = "desk"
) -> LinkedAccount | None:
    return store.read(partial(linked_accounts.live, user=user, connector=connector))


def lease(store: Store, version: int = 1, now: int = NOW) -> bool:
    work = partial(linked_accounts.lease, account_id="one", version=version)
    return store.run(partial(work, now=UnixTime(now)))


def refreshed(store: Store, version: int = 1) -> bool:
    work = partial(linked_accounts.refreshed, account_id="one", version=version)
    return store.run(partial(work, expires_at=UnixTime(NOW + 900), now=NOW))


def end(store: Store, version: int | None = None) -> bool:
    work = partial(linked_accounts.end, account_id="one", reason="unlinked", now=NOW)
    return store.run(partial(work, version=version))


def to_revoke(store: Store, now: int = NOW) -> list[str]:
    work = partial(linked_accounts.to_revoke, now=UnixTime(now))
    return [it.id for it in store.run(work)]


def test_an_account_is_its_users_alone(store: Store) -> None:
    add(store)
    assert live(store) == account()
    assert live(store, user="user:bob") is None
    assert live(store, connector="time") is None
    mine = partial(linked_accounts.of_user, user="user:alice")
    assert [it.id for it in store.read(mine)] == ["one"]
    assert store.read(partial(linked_accounts.of_user, user="user:bob")) == []


def test_a_second_account_takes_the_place_of_the_first(store: Store) -> None:
    assert add(store) is None
    assert add(store, account("two")) == "one"
    found = live(store)
    assert found is not None
    assert found.id == "two"
    assert to_revoke(store) == []


def test_the_same_subject_at_two_issuers_is_two_users(store: Store) -> None:
    add(store, account("one", "user:https://a.example|7"))
    add(store, account("two", "user:https://b.example|7"))
    of_a, of_b = (
        live(store, "user:https://a.example|7"),
        live(store, "user:https://b.example|7"),
    )
    assert of_a is not None
    assert of_b is not None
    assert (of_a.id, of_b.id) == ("one", "two")


def test_of_many_who_want_to_refresh_one_does(store: Store) -> None:
    add(store)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: lease(store), range(8))) == 1


def test_a_lease_ends_by_itself_with_success_and_by_giving_it_back(store: Store) -> None:
    add(store)
    assert lease(store)
    assert not lease(store, now=NOW + LEASE_SECONDS - 1)
    assert lease(store, now=NOW + LEASE_SECONDS)
    store.run(partial(linked_accounts.release, account_id="one", version=1))
    assert lease(store)
    assert refreshed(store)
    assert not lease(store)
    assert lease(store, version=2)


def test_of_two_successors_of_one_version_one_is_kept(store: Store) -> None:
    add(store)
    assert refreshed(store)
    assert not refreshed(store)
    found = live(store)
    assert found is not None
    assert (found.version, found.expires_at) == (2, NOW + 900)


def test_what_has_ended_is_neither_used_nor_refreshed(store: Store) -> None:
    add(store)
    assert end(store)
    assert not end(store)
    assert live(store) is None
    assert not lease(store)
    assert not refreshed(store)
    add(store, account("two"))
    assert live(store) is not None


def test_a_refusal_of_an_old_version_does_not_end_the_new_one(store: Store) -> None:
    add(store)
    refreshed(store)
    assert not end(store, version=1)
    assert live(store) is not None
    assert end(store, version=2)


@pytest.mark.parametrize(
    ("kind", "key", "ends"),
    [
        ("user", "user:alice", True),
        ("user", "user:bob", False),
        ("connector", "desk", True),
        ("connector", "time", False),
        ("all", "", True),
        ("agent", "app", False),
        ("jti", "one", False),
        ("grant", "one", False),
    ],
)
def test_a_revocation_ends_what_it_names(
    store: Store, kind: Kind, key: str, ends: bool
) -> None:
    add(store)
    store.run(partial(revocations.revoke, kind=kind, key=key, reason="lost", now=NOW))
    assert (live(store) is None) == ends
    assert to_revoke(store) == (["one"] if ends else [])


def test_every_process_hears_of_a_change(store: Store) -> None:
    before = store.read(directory.generation)
    add(store)
    linked = store.read(directory.generation)
    end(store)
    assert before < linked < store.read(directory.generation)


def test_tokens_are_revoked_upstream_by_one_and_again_later(store: Store) -> None:
    add(store)
    end(store)
    now = int(NOW)
    for pause in RETRY_SECONDS[1:]:
        assert store.read(partial(linked_accounts.has_to_revoke, now=UnixTime(now)))
        assert to_revoke(store, now) == ["one"]
        assert to_revoke(store, now + pause - 1) == []
        now += pause
    store.run(partial(linked_accounts.forget, account_id="one"))
    assert to_revoke(store, now) == []


def test_a_live_account_is_not_forgotten(store: Store) -> None:
    add(store)
    store.run(partial(linked_accounts.forget, account_id="one"))
    assert live(store) is not None


@pytest.mark.parametrize(
    "change", [{"issuer": "https://other.example"}, {"resource": "https://elsewhere/mcp"}]
)
def test_one_that_is_elsewhere_ends_with_its_tokens_to_be_revoked(
    store: Store, change: dict[str, str]
) -> None:
    store.run(partial(linked_accounts.add, account=account()))
    moved = replace(account("two"), **change)
    assert store.run(partial(linked_accounts.add, account=moved)) is None
    due = store.run(partial(linked_accounts.to_revoke, now=NOW))
    assert [it.id for it in due] == ["one"]
    live = partial(linked_accounts.live, user="user:alice", connector="desk")
    found = store.read(live)
    assert found is not None
    assert found.id == "two"
