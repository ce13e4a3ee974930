"""Ways in and failed logins, as the database keeps them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select

from bascule.clock import UnixTime
from bascule.storage import (
    browser_sessions,
    first_admin,
    login_failures,
    passkeys,
    passwords,
    users,
    ways_in,
)
from bascule.storage.login_failures import (
    FIRST_WAIT_SECONDS,
    FORGET_SECONDS,
    FREE_ATTEMPTS,
    LONGEST_WAIT_SECONDS,
    wait_seconds,
)
from bascule.storage.schema import login_failures as failures_table
from bascule.storage.store import Store
from bascule.storage.ways_in import NewPasskey, NewPassword, WayIn, WayInRefusedError
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
LINK = b"link".ljust(32)
PASSKEY = NewPasskey(b"id", b"handle", b"key", 0, b"challenge", UnixTime(NOW + 600))
WORD = NewPassword("hash")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(add_alice)
        yield opened


def add_alice(conn: Connection) -> None:
    users.add(
        conn,
        name="alice",
        groups=(),
        is_admin=False,
        setup_hash=LINK,
        setup_expires_at=UnixTime(NOW + 100),
        now=NOW,
    )


def set_up(
    store: Store, way: WayIn = WORD, *, link: bytes = LINK, now: UnixTime = NOW
) -> bool:
    return store.run(
        lambda conn: ways_in.set_up(conn, link_hash=link, name="alice", way=way, now=now)
    )


def attempt(
    store: Store, *, name: str = "alice", source: str = "::1", now: int = NOW
) -> int:
    return store.run(
        lambda conn: login_failures.begin_attempt(
            conn, name=name, source=source, now=UnixTime(now)
        )
    )


def use(
    store: Store, *, challenge: bytes, count: int, credential_id: bytes = b"id"
) -> bool:
    return store.run(
        lambda conn: passkeys.use(
            conn,
            challenge_hash=challenge,
            expires_at=UnixTime(NOW + 600),
            credential_id=credential_id,
            sign_count=count,
            now=NOW,
        )
    )


# Set-up links


@pytest.mark.parametrize(("after", "good"), [(0, True), (99, True), (100, False)])
def test_a_link_is_good_until_it_expires(store: Store, after: int, good: bool) -> None:
    now = UnixTime(NOW + after)
    found = store.read(lambda conn: users.of_setup_link(conn, setup_hash=LINK, now=now))
    assert found == ("alice" if good else None)
    assert set_up(store, now=now) is good


def test_a_link_is_good_once(store: Store) -> None:
    assert set_up(store)
    assert not set_up(store, NewPassword("another"))
    found = store.read(lambda conn: passwords.hash_of(conn, name="alice"))
    assert found == "hash"


def test_a_link_of_somebody_disabled_is_not_good(store: Store) -> None:
    store.run(lambda conn: users.disable(conn, name="alice", now=NOW))
    assert not set_up(store)


def test_a_link_that_is_not_of_that_user_is_left_alone(store: Store) -> None:
    def other(conn: Connection) -> bool:
        return ways_in.set_up(conn, link_hash=LINK, name="bob", way=WORD, now=NOW)

    assert not store.run(other)
    assert set_up(store)


def test_of_many_who_spend_a_link_at_once_one_does(store: Store) -> None:
    ready = threading.Barrier(6)
    won: list[bool] = []

    def spend(number: int) -> None:
        ready.wait()
        won.append(set_up(store, NewPassword(str(number))))

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]


def test_a_passkey_that_is_refused_leaves_the_link_good(store: Store) -> None:
    assert set_up(store, PASSKEY)
    store.run(
        lambda conn: users.reset(
            conn, name="alice", setup_hash=b"new", setup_expires_at=UnixTime(NOW + 100)
        )
    )
    with pytest.raises(WayInRefusedError):
        set_up(store, PASSKEY, link=b"new")
    assert set_up(store, WORD, link=b"new")


def test_a_reset_takes_all_ways_in(store: Store) -> None:
    assert set_up(store, PASSKEY)
    store.run(lambda conn: ways_in.give(conn, name="alice", way=WORD, now=NOW))
    assert store.read(lambda conn: ways_in.exists(conn, name="alice"))
    store.run(
        lambda conn: users.reset(
            conn, name="alice", setup_hash=b"new", setup_expires_at=UnixTime(NOW + 100)
        )
    )
    assert not store.read(lambda conn: ways_in.exists(conn, name="alice"))


def test_a_set_up_ends_sessions_of_before(store: Store) -> None:
    def begin(conn: Connection) -> None:
        browser_sessions.begin(
            conn,
            token_hash=b"one",
            replaces=b"",
            name="alice",
            audience="public",
            method="password",
            source="::1",
            now=NOW,
            expires_at=UnixTime(NOW + 100),
        )

    store.run(begin)
    assert set_up(store)
    found = store.read(
        lambda conn: browser_sessions.find(
            conn, token_hash=b"one", audience="public", now=NOW
        )
    )
    assert found is None


# The first administrator


def offer(
    store: Store, token_hash: bytes = b"first", *, beside_others: bool = False
) -> bool:
    return store.run(
        lambda conn: first_admin.offer(
            conn,
            token_hash=token_hash,
            expires_at=UnixTime(NOW + 900),
            now=NOW,
            beside_others=beside_others,
        )
    )


def set_up_first(store: Store, *, name: str = "root", now: UnixTime = NOW) -> bool:
    return store.run(
        lambda conn: ways_in.set_up_first_admin(
            conn, link_hash=b"first", name=name, way=WORD, now=now
        )
    )


def test_the_first_administrator_comes_in_once(store: Store) -> None:
    assert offer(store)
    assert set_up_first(store)
    found = store.read(lambda conn: users.get(conn, "root"))
    assert found is not None
    assert found.is_admin
    assert not set_up_first(store, name="second")
    assert not offer(store), "there is an administrator"


@pytest.mark.parametrize(("after", "good"), [(899, True), (900, False)])
def test_the_first_link_expires(store: Store, after: int, good: bool) -> None:
    assert offer(store)
    assert set_up_first(store, now=UnixTime(NOW + after)) is good


@pytest.mark.parametrize("beside_others", [False, True])
def test_a_start_ends_earlier_links_but_those_of_other_servers(
    store: Store, beside_others: bool
) -> None:
    assert offer(store)
    assert offer(store, b"another", beside_others=beside_others)
    assert set_up_first(store) is beside_others
    good = store.read(
        lambda conn: first_admin.is_good(conn, token_hash=b"another", now=NOW)
    )
    assert good is not beside_others, "the first one who comes is the only one"


def test_the_first_link_does_not_make_an_administrator_of_somebody(store: Store) -> None:
    assert offer(store)
    with pytest.raises(WayInRefusedError):
        set_up_first(store, name="alice")
    found = store.read(lambda conn: users.get(conn, "alice"))
    assert found is not None
    assert not found.is_admin
    assert set_up_first(store), "and it is as good as before"


# Passkeys


def test_a_passkey_answers_each_challenge_once(store: Store) -> None:
    assert set_up(store, PASSKEY)
    assert use(store, challenge=b"1", count=0)
    assert not use(store, challenge=b"1", count=0)
    assert use(store, challenge=b"2", count=0)
    assert not use(store, challenge=b"challenge", count=0), "that made it"


@pytest.mark.parametrize(
    ("before", "now", "good"),
    [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False)],
)
def test_a_counter_that_does_not_rise_is_a_copy(
    store: Store, before: int, now: int, good: bool
) -> None:
    assert set_up(store, replace(PASSKEY, sign_count=before))
    assert use(store, challenge=b"1", count=now) is good


def test_a_passkey_that_is_removed_is_of_no_use(store: Store) -> None:
    assert set_up(store, PASSKEY)
    assert not store.run(
        lambda conn: passkeys.remove(conn, name="bob", credential_id=b"id")
    )
    assert store.run(lambda conn: passkeys.remove(conn, name="alice", credential_id=b"id"))
    assert not use(store, challenge=b"1", count=0)


def test_a_passkey_of_somebody_disabled_is_not_found(store: Store) -> None:
    assert set_up(store, PASSKEY)
    store.run(lambda conn: users.disable(conn, name="alice", now=NOW))
    assert store.read(lambda conn: passkeys.find(conn, credential_id=b"id")) is None
    assert store.read(lambda conn: passwords.hash_of(conn, name="alice")) is None


# Failures


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    waits = [wait_seconds(number) for number in range(FREE_ATTEMPTS + 8)]
    assert waits[:FREE_ATTEMPTS] == [0] * FREE_ATTEMPTS
    assert waits[FREE_ATTEMPTS : FREE_ATTEMPTS + 3] == [30, 60, 120]
    assert waits[-1] == LONGEST_WAIT_SECONDS == wait_seconds(10**9)


def test_after_some_failures_an_attempt_has_to_wait(store: Store) -> None:
    assert [attempt(store) for _ in range(FREE_ATTEMPTS)] == [0] * FREE_ATTEMPTS
    assert attempt(store) == FIRST_WAIT_SECONDS
    assert attempt(store, now=NOW + 10) == FIRST_WAIT_SECONDS - 10
    assert attempt(store, now=NOW + FIRST_WAIT_SECONDS) == 0
    assert attempt(store, now=NOW + FIRST_WAIT_SECONDS) == 2 * FIRST_WAIT_SECONDS


def test_an_attempt_that_waits_does_not_make_the_wait_longer(store: Store) -> None:
    for _ in range(FREE_ATTEMPTS + 20):
        attempt(store)
    assert attempt(store) == FIRST_WAIT_SECONDS


@pytest.mark.parametrize("other", [{"source": "::2"}, {"name": "bob"}])
def test_others_do_not_wait(store: Store, other: dict[str, str]) -> None:
    for _ in range(FREE_ATTEMPTS + 1):
        attempt(store)
    assert (
        attempt(store, name=other.get("name", "alice"), source=other.get("source", "::1"))
        == 0
    )


def test_a_success_forgets_the_failures_of_its_place_alone(store: Store) -> None:
    for _ in range(FREE_ATTEMPTS + 1):
        attempt(store)
        attempt(store, source="::2")
    store.run(lambda conn: login_failures.succeeded(conn, name="alice", source="::1"))
    assert attempt(store) == 0
    assert attempt(store, source="::2") == FIRST_WAIT_SECONDS


def test_failures_are_forgotten_and_leave_nothing(store: Store) -> None:
    for number in range(30):
        attempt(store, name=f"guess{number}")
    assert attempt(store, now=NOW + FORGET_SECONDS + 1) == 0
    rows = store.read(
        lambda conn: conn.execute(select(func.count()).select_from(failures_table)).scalar()
    )
    assert rows == 1


def test_many_attempts_at_once_are_counted_each(store: Store) -> None:
    ready = threading.Barrier(12)
    waits: list[int] = []

    def run() -> None:
        ready.wait()
        waits.append(attempt(store))

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0) == FREE_ATTEMPTS
