"""Keys in a folder and in PostgreSQL: the same operations, and what each protects."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bascule.clock import system_entropy
from bascule.storage.key_store import FolderKeys, KeyStore
from bascule.storage.postgres import PostgresStore, open_postgres
from bascule.storage.private_files import UnsafeFileError
from bascule.storage.schema import keys
from bascule.storage.wrapped_keys import KeyEncryptionError, WrappedKeys
from postgres import PostgresServer

KEY = bytes(range(32))


@pytest.fixture
def database(
    postgres_server: PostgresServer, migrated_template: str
) -> Iterator[PostgresStore]:
    url = postgres_server.url(postgres_server.create(template=migrated_template))
    with contextlib.closing(open_postgres(url)) as store:
        yield store


@pytest.fixture(params=["folder", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "folder":
        return FolderKeys(tmp_path)
    return WrappedKeys(request.getfixturevalue("database"), KEY, system_entropy)


def test_a_key_is_kept_replaced_renamed_and_removed(store: KeyStore) -> None:
    assert store.read("a") is None
    store.write("a", b"one")
    store.write("a", b"two")
    store.write("b", b"three")
    assert (store.read("a"), store.names("")) == (b"two", ["a", "b"])
    store.rename("a", "c")
    assert (store.read("a"), store.read("c"), store.names("c")) == (None, b"two", ["c"])
    store.remove("c")
    store.remove("c")
    assert store.names("") == ["b"]


def test_no_key_takes_the_name_of_another(store: KeyStore) -> None:
    store.write("a", b"one")
    store.write("b", b"two")
    with pytest.raises(Exception, match="b"):
        store.rename("a", "b")
    assert (store.read("a"), store.read("b")) == (b"one", b"two")


def test_of_many_that_make_a_key_all_get_the_same(store: KeyStore) -> None:
    found: list[bytes] = []

    def make(fresh: bytes) -> None:
        found.append(store.create("a", fresh))

    threads = [threading.Thread(target=make, args=(bytes([n]),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == {store.read("a")}


def test_one_at_a_time_is_alone(store: KeyStore) -> None:
    inside: list[int] = []

    def work() -> None:
        for _ in range(5):
            with store.alone("x"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == []


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    FolderKeys(tmp_path).write("a", b"x")
    (tmp_path / "a").chmod(0o640)
    with pytest.raises(UnsafeFileError, match="chmod"):
        FolderKeys(tmp_path).read("a")


def test_the_database_sees_neither_key_nor_what_wraps_it(database: PostgresStore) -> None:
    WrappedKeys(database, KEY, system_entropy).write("a", b"canary" * 9)
    (wrapped,) = database.read(lambda conn: conn.execute(select(keys.c.wrapped)).one())
    assert b"canary" not in bytes(wrapped)
    assert KEY not in bytes(wrapped)


def test_another_key_opens_nothing(database: PostgresStore) -> None:
    WrappedKeys(database, KEY, system_entropy).write("a", b"x")
    other = WrappedKeys(database, bytes(32), system_entropy)
    with pytest.raises(KeyEncryptionError, match="a"):
        other.read("a")
    with pytest.raises(KeyEncryptionError):
        other.create("a", b"y")


def test_a_wrapped_key_cannot_stand_in_for_another(database: PostgresStore) -> None:
    store = WrappedKeys(database, KEY, system_entropy)
    store.write("a", b"x")
    database.run(lambda conn: conn.execute(update(keys).values(name="b")))
    with pytest.raises(KeyEncryptionError):
        store.read("b")


def test_no_flipped_bit_of_a_wrapped_key_is_taken(database: PostgresStore) -> None:
    store = WrappedKeys(database, KEY, system_entropy)
    store.write("a", b"x")
    (good,) = database.read(lambda conn: conn.execute(select(keys.c.wrapped)).one())
    for bit in range(0, len(good) * 8, 7):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        database.run(
            lambda conn, bad=bad: conn.execute(update(keys).values(wrapped=bytes(bad)))
        )
        with pytest.raises(KeyEncryptionError):
            store.read("a")
