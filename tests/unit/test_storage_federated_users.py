"""Users of providers on both engines: who they are, their groups, who is let in no more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.storage import counters, directory, federated_users, foreigners, users
from bascule.storage.federated_users import FederatedUser
from bascule.storage.foreigners import Foreigner
from bascule.storage.store import Store
from oauth_state import NOW
from postgres import OpenStore

CORP = "https://login.corp.example"
OTHER = "https://login.other.example"
ALICE = FederatedUser(CORP, "auth0|17", "corp", "Alice", "alice@corp.example", "e-17")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def vouch(store: Store, who: FederatedUser, *groups: str, now: int = NOW) -> bool:
    return store.run(
        partial(federated_users.vouch, who=who, groups=groups, now=UnixTime(now))
    )


def groups_of(store: Store, who: FederatedUser) -> frozenset[str] | None:
    return store.read(directory.load).groups.get(f"user:{who.name}")


def generation(store: Store) -> int:
    return store.read(partial(counters.value, name="generation"))


def test_groups_are_those_of_the_issuer_and_follow_it(store: Store) -> None:
    assert vouch(store, ALICE, "support", "On Call")
    assert groups_of(store, ALICE) == {f"group:{CORP}|support", f"group:{CORP}|On Call"}
    assert vouch(store, ALICE, "On Call")
    assert groups_of(store, ALICE) == {f"group:{CORP}|On Call"}


def test_one_subject_at_two_issuers_is_two_users(store: Store) -> None:
    vouch(store, ALICE, "support")
    vouch(store, replace(ALICE, issuer=OTHER))
    assert groups_of(store, ALICE) == {f"group:{CORP}|support"}
    assert groups_of(store, replace(ALICE, issuer=OTHER)) == frozenset()


def test_what_does_not_change_rights_leaves_the_directory_alone(store: Store) -> None:
    vouch(store, ALICE, "support")
    before = generation(store)
    vouch(store, replace(ALICE, email="new@corp.example"), "support", now=NOW + 60)
    assert generation(store) == before
    kept = store.read(partial(federated_users.get, name=ALICE.name))
    assert kept is not None
    assert (kept.who.email, kept.checked_at) == ("new@corp.example", NOW + 60)


def test_who_is_disabled_is_not_vouched_for(store: Store) -> None:
    vouch(store, ALICE, "support")
    disable = partial(users.disable, name=ALICE.name, now=UnixTime(NOW))
    store.run(disable)
    assert not vouch(store, ALICE, "admins")
    assert groups_of(store, ALICE) is None


def test_who_is_disabled_before_it_ever_signed_in_does_not_come_in(store: Store) -> None:
    who = Foreigner("user", f"user:{ALICE.name}")
    store.run(partial(foreigners.disable, who=who, now=UnixTime(NOW)))
    assert not vouch(store, ALICE)
    assert store.read(partial(users.get, name=ALICE.name)) is None


def test_provisioning_finds_its_own_users_alone(store: Store) -> None:
    vouch(store, ALICE)
    vouch(store, replace(ALICE, issuer=OTHER, provider="other", external_id=""))
    find = federated_users.known_as
    found = store.read(partial(find, issuer=CORP, external_id="e-17"))
    assert [it.who for it in found] == [ALICE]
    assert store.read(partial(find, issuer=OTHER, external_id="e-17")) == []
    assert store.read(partial(find, issuer=OTHER, external_id="")) == []


def test_disabling_ends_the_row_too_and_enabling_brings_it_back(store: Store) -> None:
    vouch(store, ALICE, "support")
    who = Foreigner("user", f"user:{ALICE.name}")
    store.run(partial(foreigners.disable, who=who, now=UnixTime(NOW)))
    assert groups_of(store, ALICE) is None
    store.run(partial(foreigners.enable, who=who, now=UnixTime(NOW + 1)))
    assert groups_of(store, ALICE) == {f"group:{CORP}|support"}
