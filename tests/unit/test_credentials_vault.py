"""The vault: what lies in the database is unreadable, and in no other's place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from bascule.clock import system_entropy
from bascule.credentials.vault import Vault
from bascule.credentials.wrapping import NONCE_BYTES, LocalKey, NamedKeys, VaultError
from bascule.storage.store import Store
from oauth_state import NOW
from postgres import OpenStore

KEY = bytes(range(32))


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def vault(key: bytes = KEY, *former: bytes) -> Vault:
    keys = [LocalKey(it, system_entropy) for it in (key, *former)]
    return Vault(NamedKeys(keys[0], keys[1:]), lambda: NOW, system_entropy)


def put(store: Store, owner: str, name: str, value: bytes) -> None:
    store.run(partial(vault().put, owner=owner, name=name, value=value))


def get(store: Store, owner: str, name: str, key: bytes = KEY) -> bytes | None:
    return store.read(partial(vault(key).get, owner=owner, name=name))


def change(store: Store, statement: str, **values: Any) -> None:
    store.run(lambda conn: conn.execute(text(statement), values))


def rows(store: Store) -> str:
    tables = ("SELECT * FROM vault_keys", "SELECT * FROM vault_entries")
    return store.read(lambda conn: str([conn.execute(text(it)).all() for it in tables]))


def test_a_secret_comes_back_to_its_owner_alone(store: Store) -> None:
    put(store, "user:alice", "token", b"of alice")
    put(store, "user:bob", "token", b"of bob")
    assert get(store, "user:alice", "token") == b"of alice"
    assert get(store, "user:bob", "token") == b"of bob"
    assert get(store, "user:carol", "token") is None
    put(store, "user:alice", "token", b"newer")
    assert get(store, "user:alice", "token") == b"newer"


def test_the_database_shows_no_secret(store: Store) -> None:
    put(store, "user:alice", "token", b"canary-of-alice")
    assert "canary-of-alice" not in rows(store)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE vault_entries SET owner = :to WHERE owner = :of", {"to": "user:bob"}),
        ("UPDATE vault_entries SET name = :to WHERE owner = :of", {"to": "other"}),
        ("UPDATE vault_entries SET version = :to WHERE owner = :of", {"to": 9}),
        ("UPDATE vault_entries SET sealed = :to WHERE owner = :of", {"to": b"short"}),
        ("DELETE FROM vault_keys WHERE owner = :of OR owner = :to", {"to": ""}),
        (
            "UPDATE vault_keys SET wrapped = (SELECT wrapped FROM vault_keys"
            " WHERE owner = 'user:bob') WHERE owner = :of OR owner = :to",
            {"to": ""},
        ),
    ],
)
def test_a_row_in_anothers_place_is_refused(
    store: Store, statement: str, values: dict[str, Any]
) -> None:
    put(store, "user:alice", "token", b"of alice")
    put(store, "user:bob", "one", b"of bob")
    change(store, statement, of="user:alice", **values)
    names = [("user:alice", "token"), ("user:bob", "token"), ("user:alice", "other")]
    got = []
    for owner, name in names:
        try:
            got.append(get(store, owner, name))
        except VaultError:
            got.append(b"refused")
    assert b"refused" in got
    assert b"of alice" not in got


def sealed(store: Store, name: str) -> tuple[int, bytes]:
    """Give version and ciphertext of a secret of alice's."""
    query = text("SELECT version, sealed FROM vault_entries WHERE name = :name")
    version, value = store.read(lambda conn: conn.execute(query, {"name": name}).one())
    return int(version), bytes(value)


def test_an_older_secret_is_not_taken_for_the_newer(store: Store) -> None:
    put(store, "user:alice", "token", b"old")
    version, old = sealed(store, "token")
    put(store, "user:alice", "token", b"new")
    assert sealed(store, "token")[0] == version + 1
    change(store, "UPDATE vault_entries SET sealed = :it", it=old)
    with pytest.raises(VaultError):
        get(store, "user:alice", "token")


def test_no_two_names_and_versions_are_written_alike(store: Store) -> None:
    for _ in range(11):
        put(store, "user:alice", "a", b"eleventh")
    put(store, "user:alice", "a1", b"first")
    change(
        store,
        "UPDATE vault_entries SET sealed = :it WHERE name = 'a1'",
        it=sealed(store, "a")[1],
    )
    with pytest.raises(VaultError):
        get(store, "user:alice", "a1")


def test_no_nonce_comes_twice(store: Store) -> None:
    """Two texts under one key and nonce would tell each other (NIST SP 800-38D §8)."""
    seen = set()
    for number in range(4):
        put(store, "user:alice", f"name {number % 2}", b"the same")
        seen.add(sealed(store, f"name {number % 2}")[1][:NONCE_BYTES])
    assert len(seen) == 4


def test_another_key_reads_nothing(store: Store) -> None:
    put(store, "user:alice", "token", b"of alice")
    with pytest.raises(VaultError) as problem:
        get(store, "user:alice", "token", bytes(32))
    assert "alice" not in str(problem.value)


def test_of_who_is_shredded_an_older_copy_of_the_rows_tells_nothing(store: Store) -> None:
    put(store, "user:alice", "token", b"of alice")
    put(store, "user:bob", "token", b"of bob")
    copy = store.read(
        lambda conn: conn.execute(
            text("SELECT sealed FROM vault_entries WHERE owner = 'user:alice'")
        ).scalar()
    )
    store.run(partial(vault().shred, owner="user:alice"))
    assert get(store, "user:alice", "token") is None
    assert "user:alice" not in rows(store)
    put(store, "user:alice", "token", b"another life")
    change(
        store, "UPDATE vault_entries SET sealed = :it WHERE owner = 'user:alice'", it=copy
    )
    with pytest.raises(VaultError):
        get(store, "user:alice", "token")
    assert get(store, "user:bob", "token") == b"of bob"


def test_a_secret_that_was_deleted_is_gone(store: Store) -> None:
    put(store, "user:alice", "token", b"of alice")
    delete = partial(vault().delete, owner="user:alice", name="token")
    store.run(delete)
    store.run(delete)
    assert get(store, "user:alice", "token") is None


def test_a_rotation_needs_the_old_key_once_and_nothing_changes_for_owners(
    store: Store,
) -> None:
    put(store, "user:alice", "token", b"of alice")
    put(store, "user:alice", "other", b"another of alice")
    before = rows(store)
    fresh = bytes(reversed(KEY))
    store.run(partial(vault(fresh, KEY).rotate, owner="user:alice"))
    assert get(store, "user:alice", "token", fresh) == b"of alice"
    assert get(store, "user:alice", "other", fresh) == b"another of alice"
    with pytest.raises(VaultError, match=r"vault\.former"):
        get(store, "user:alice", "token", KEY)
    lines = {it for it in before.split(", ") if it.startswith("b'")}
    assert lines
    assert not any(it in rows(store) for it in lines)


def test_a_rotation_without_the_old_key_leaves_all_as_it_was(store: Store) -> None:
    put(store, "user:alice", "token", b"of alice")
    before = rows(store)
    with pytest.raises(VaultError):
        store.run(partial(vault(bytes(32)).rotate, owner="user:alice"))
    assert rows(store) == before
