"""Sessions of browsers: what they are good for, and all that ends them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import Connection

from bascule.clock import UnixTime
from bascule.storage import browser_sessions, revocations, users
from bascule.storage.browser_sessions import MAX_OF_USER, Audience, BrowserSession
from bascule.storage.store import Store
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
SOON = UnixTime(NOW + 10)
END = UnixTime(NOW + 12 * 3600)
NOBODY = b"\x00" * 32


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        for name in ("alice", "bob"):
            opened.run(lambda conn, name=name: add(conn, name))
        yield opened


def add(conn: Connection, name: str) -> None:
    users.add(
        conn,
        name=name,
        groups=(),
        is_admin=False,
        setup_hash=name.encode(),
        setup_expires_at=END,
        now=NOW,
    )


def begin(
    store: Store,
    token_hash: bytes,
    *,
    name: str = "alice",
    audience: Audience = "public",
    replaces: bytes = NOBODY,
    now: UnixTime = NOW,
) -> bool:
    return store.run(
        lambda conn: browser_sessions.begin(
            conn,
            token_hash=token_hash,
            replaces=replaces,
            name=name,
            audience=audience,
            method="password",
            source="127.0.0.1",
            now=now,
            expires_at=END,
        )
    )


def find(
    store: Store, token_hash: bytes, *, audience: Audience = "public", now: UnixTime = SOON
) -> BrowserSession | None:
    return store.read(
        lambda conn: browser_sessions.find(
            conn, token_hash=token_hash, audience=audience, now=now
        )
    )


def test_a_session_says_who_it_is() -> None:
    session = BrowserSession(1, "alice", "password", "::1", NOW, END)
    assert session.user == "user:alice"


def test_a_session_is_found_by_its_token_until_it_expires(store: Store) -> None:
    assert begin(store, b"one")
    found = find(store, b"one")
    assert found is not None
    assert (found.user, found.method, found.expires_at) == ("user:alice", "password", END)
    assert find(store, b"other") is None
    assert find(store, b"one", now=UnixTime(END - 1)) is not None
    assert find(store, b"one", now=END) is None
    over = partial(browser_sessions.is_in_force, number=found.number, now=END)
    assert not store.read(over)


@pytest.mark.parametrize(("made", "used"), [("public", "admin"), ("admin", "public")])
def test_a_session_is_not_valid_on_the_other_listener(
    store: Store, made: Audience, used: Audience
) -> None:
    assert begin(store, b"one", audience=made)
    assert find(store, b"one", audience=made) is not None
    assert find(store, b"one", audience=used) is None


def end_by_disabling(conn: Connection) -> None:
    users.disable(conn, name="alice", now=SOON)


def end_by_enabling_again(conn: Connection) -> None:
    users.disable(conn, name="alice", now=SOON)
    users.enable(conn, name="alice")


def end_by_revoking_the_user(conn: Connection) -> None:
    revocations.revoke(conn, kind="user", key="user:alice", reason="test", now=SOON)


def end_by_revoking_all(conn: Connection) -> None:
    revocations.revoke(conn, kind="all", key="", reason="test", now=SOON)


def end_by_logout(conn: Connection) -> None:
    browser_sessions.end(conn, token_hash=b"one")


def end_by_number(conn: Connection) -> None:
    (found,) = browser_sessions.of_user(conn, name="alice", audience="public", now=SOON)
    assert browser_sessions.end_numbered(conn, name="alice", number=found.number)


def end_all(conn: Connection) -> None:
    browser_sessions.end_all(conn, name="alice")


@pytest.mark.parametrize(
    "how",
    [
        end_by_disabling,
        end_by_enabling_again,
        end_by_revoking_the_user,
        end_by_revoking_all,
        end_by_logout,
        end_by_number,
        end_all,
    ],
)
def test_a_session_ends(store: Store, how: Callable[[Connection], None]) -> None:
    number = begin(store, b"one")
    assert number is not None
    in_force = partial(browser_sessions.is_in_force, number=number, now=SOON)
    assert store.read(in_force)
    store.run(how)
    assert not store.read(in_force), "nothing is begun in it any more"
    assert find(store, b"one") is None
    listed = store.read(
        lambda conn: browser_sessions.of_user(
            conn, name="alice", audience="public", now=SOON
        )
    )
    assert listed == []


@pytest.mark.parametrize("how", [end_by_revoking_the_user, end_by_number, end_all])
def test_what_ends_for_one_goes_on_for_another(
    store: Store, how: Callable[[Connection], None]
) -> None:
    assert begin(store, b"one")
    assert begin(store, b"two", name="bob")
    store.run(how)
    assert find(store, b"two") is not None


@pytest.mark.parametrize("how", [end_by_revoking_the_user, end_by_revoking_all])
def test_a_new_login_after_a_revocation_counts(
    store: Store, how: Callable[[Connection], None]
) -> None:
    store.run(how)
    assert begin(store, b"one", now=UnixTime(SOON + 1))
    assert find(store, b"one", now=UnixTime(SOON + 1)) is not None


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_nobody_signs_in_who_is_not_enabled(store: Store, name: str) -> None:
    store.run(end_by_disabling)
    assert not begin(store, b"one", name=name)
    assert find(store, b"one") is None


def test_a_login_ends_the_session_that_the_browser_had(store: Store) -> None:
    assert begin(store, b"planted", name="bob")
    assert begin(store, b"one", replaces=b"planted")
    assert find(store, b"planted") is None


def test_the_session_of_somebody_else_cannot_be_ended_by_its_number(store: Store) -> None:
    assert begin(store, b"one")
    found = find(store, b"one")
    assert found is not None
    ended = store.run(
        lambda conn: browser_sessions.end_numbered(conn, name="bob", number=found.number)
    )
    assert not ended
    assert find(store, b"one") is not None


def test_all_but_one_end(store: Store) -> None:
    for token in (b"one", b"two", b"three"):
        assert begin(store, token)
    kept = find(store, b"two")
    assert kept is not None
    store.run(lambda conn: browser_sessions.end_all(conn, name="alice", but=kept.number))
    assert [it for it in (b"one", b"two", b"three") if find(store, it)] == [b"two"]


def test_a_user_has_so_many_sessions_at_most(store: Store) -> None:
    tokens = [b"%d" % number for number in range(MAX_OF_USER + 1)]
    for token in tokens:
        assert begin(store, token)
    assert find(store, tokens[0]) is None
    assert all(find(store, token) for token in tokens[1:])


def test_expired_sessions_leave_the_database(store: Store) -> None:
    assert begin(store, b"one")
    assert begin(store, b"two", name="bob", now=UnixTime(END + 1))
    store.run(lambda conn: browser_sessions.end(conn, token_hash=b"two"))
    assert find(store, b"one", now=NOW) is None
