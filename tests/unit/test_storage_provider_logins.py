"""Logins at identity providers: one answer, one browser, one provider, ten minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.storage import (
    agents,
    browser_sessions,
    grants,
    provider_logins,
    provider_sessions,
    users,
)
from bascule.storage.browser_sessions import begin as begin_session
from bascule.storage.provider_logins import LIFETIME_SECONDS, ProviderLogin
from bascule.storage.store import Store, Transaction
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
LOGIN = ProviderLogin("corp", b"browser", "/account", b"sealed")


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def begin(store: Store, state: bytes, now: int = NOW) -> None:
    at = UnixTime(now)
    store.run(partial(provider_logins.begin, login=LOGIN, state_hash=state, now=at))


def take(
    store: Store,
    state: bytes = b"s",
    provider: str = "corp",
    browser: bytes = b"browser",
    now: int = NOW,
) -> ProviderLogin | None:
    return store.run(
        partial(
            provider_logins.take,
            state_hash=state,
            provider=provider,
            browser_hash=browser,
            now=UnixTime(now),
        )
    )


def test_a_state_is_good_once(store: Store) -> None:
    begin(store, b"s")
    assert take(store) == LOGIN
    assert take(store) is None


def test_a_state_is_good_in_its_browser_and_at_its_provider_alone(store: Store) -> None:
    begin(store, b"s")
    assert take(store, browser=b"another") is None
    assert take(store, provider="other") is None
    assert take(store, state=b"t") is None
    assert take(store, now=NOW + LIFETIME_SECONDS) is None
    assert take(store, now=NOW + LIFETIME_SECONDS - 1) == LOGIN


def test_logins_that_nobody_finishes_do_not_pile_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_logins, "MAX_WAITING", 3)
    for number in range(5):
        begin(store, b"%d" % number, NOW + number)
    found = [take(store, b"%d" % it, now=NOW + 5) is not None for it in range(5)]
    assert found == [False, False, True, True, True]


def sign_in(conn: Transaction, sid: str) -> int:
    """Begin a browser session that came of a session at the provider; gives its number."""
    number = begin_session(
        conn,
        token_hash=sid.encode(),
        replaces=b"none",
        name="https://idp.example|a",
        audience="public",
        method="provider",
        source="127.0.0.1",
        now=NOW,
        expires_at=UnixTime(NOW + 60),
    )
    assert number is not None
    provider_sessions.remember(
        conn, number=number, user="https://idp.example|a", provider="corp", sid=sid
    )
    return number


def add_user(conn: Transaction) -> None:
    users.add(
        conn,
        name="https://idp.example|a",
        groups=(),
        is_admin=False,
        setup_hash=None,
        setup_expires_at=None,
        now=NOW,
    )


def test_sessions_are_found_by_the_session_at_the_provider(store: Store) -> None:
    def fill(conn: Transaction) -> tuple[int, ...]:
        add_user(conn)
        return tuple(sign_in(conn, sid) for sid in ("one", "two", ""))

    one, two, nameless = store.run(fill)
    find = provider_sessions.of_provider_session
    name = "https://idp.example|a"
    assert store.read(partial(find, provider="corp", sid="one")) == [(name, one)]
    assert store.read(partial(find, provider="corp", sid="two")) == [(name, two)]
    assert store.read(partial(find, provider="other", sid="one")) == []
    assert store.read(partial(find, provider="corp", sid="")) == []
    of = partial(provider_sessions.provider_of, number=nameless)
    assert store.read(of) == "corp"


def test_a_grant_stays_bound_to_the_session_at_the_provider_that_it_was_given_in(
    store: Store,
) -> None:
    user = "user:https://idp.example|a"

    def fill(conn: Transaction) -> tuple[int, int]:
        add_user(conn)
        agents.add(
            conn,
            client_id="app",
            secret_hash=None,
            jwks=None,
            redirect_uris=("https://app.example/cb",),
            now=NOW,
        )
        session = sign_in(conn, "one")
        grant = grants.add(
            conn,
            grant_id="g",
            user=user,
            client_id="app",
            connector="desk",
            scope="mcp",
            now=NOW,
            expires_at=UnixTime(NOW + 600),
        )
        assert grant is not None
        provider_sessions.follow(conn, grant=grant.number, session=session)
        browser_sessions.end_all(conn, name="https://idp.example|a")
        provider_sessions.forget_ended(conn)
        return session, grant.number

    session, grant = store.run(fill)
    find = partial(provider_sessions.of_provider_session, provider="corp", sid="one")
    assert store.read(find) == [("https://idp.example|a", grant)], "not the session's own"
    end = partial(grants.end_numbered, reason="logout", now=NOW)
    assert not store.run(partial(end, user="user:another", number=grant))
    assert not store.run(partial(end, user=user, number=session))
    assert store.run(partial(end, user=user, number=grant))
    assert not store.run(partial(end, user=user, number=grant)), "it has ended"


def test_a_grant_of_a_session_that_began_at_no_provider_is_bound_to_none(
    store: Store,
) -> None:
    store.run(partial(provider_sessions.follow, grant=7, session=6))
    of = partial(provider_sessions.provider_of, number=7)
    assert store.read(of) is None
