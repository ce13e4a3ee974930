"""Logins at providers that end: by which revocations, for how long, and a new one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import (
    agents,
    browser_sessions,
    ended_logins,
    federated_users,
    foreigners,
    grants,
    revocations,
    users,
    vault,
)
from bascule.storage.ended_logins import EndedLogin
from bascule.storage.federated_users import FederatedUser
from bascule.storage.foreigners import Foreigner
from bascule.storage.retries import RETRY_SECONDS
from bascule.storage.store import Store, Transaction
from bascule.storage.vault import SealedEntry
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
WHO = FederatedUser("https://idp.example", "a", "corp")
USER = f"user:{WHO.name}"
OTHER = "user:https://idp.example|b"


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


def fill(conn: Transaction) -> None:
    federated_users.vouch(conn, WHO, (), now=NOW)
    for owner in (USER, OTHER):
        for name in ("provider/corp", "linked/1"):
            vault.put(conn, owner, name, SealedEntry(1, b"sealed"))
    agents.add(
        conn,
        client_id="app",
        secret_hash=None,
        jwks=None,
        redirect_uris=("https://app.example/cb",),
        now=NOW,
    )


def ended(store: Store, user: str = USER) -> bool:
    return store.read(partial(ended_logins.has_ended, user=user, provider="corp"))


def revoke(conn: Transaction, kind: Kind, key: str) -> None:
    revocations.revoke(conn, kind=kind, key=key, reason="r", now=NOW)


def disable(conn: Transaction) -> None:
    users.disable(conn, name=WHO.name, now=NOW)


def disable_as_stranger(conn: Transaction) -> None:
    foreigners.disable(conn, who=Foreigner("user", USER), now=NOW)


HOW: list[tuple[Callable[[Transaction], None], bool, bool]] = [
    (partial(revoke, kind="agent", key="app"), False, False),
    (partial(revoke, kind="grant", key=USER), False, False),
    (partial(revoke, kind="user", key="user:a"), False, False),
    (partial(revoke, kind="user", key=USER), True, False),
    (partial(revoke, kind="all", key=""), True, True),
    (disable, True, False),
    (disable_as_stranger, True, False),
]
"""What happens, and whether the user's login ends by it, and another user's."""


def test_a_login_ends_with_what_ends_its_user(store: Store) -> None:
    for how, ends, others in HOW:
        assert (ended(store), ended(store, OTHER)) == (False, False)
        store.run(how)
        store.run(how)  # once more is no more
        assert (ended(store), ended(store, OTHER)) == (ends, others), how
        for user in (USER, OTHER):
            store.run(partial(ended_logins.begin, user=user, provider="corp"))


def test_a_revocation_that_is_taken_back_ends_nothing(store: Store) -> None:
    def work(conn: Transaction) -> None:
        revoke(conn, "user", USER)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.run(work)
    assert not ended(store)


def test_it_is_tried_a_few_times_and_then_no_more(store: Store) -> None:
    store.run(partial(revoke, kind="user", key=USER))
    now, tries = int(NOW), 0
    for pause in (*RETRY_SECONDS[1:], RETRY_SECONDS[-1]):
        assert store.read(partial(ended_logins.has_to_revoke, now=UnixTime(now)))
        take = partial(ended_logins.to_revoke, now=UnixTime(now))
        assert store.run(take) == [EndedLogin(USER, "corp", tries)]
        assert store.run(take) == [], "another process has its turn"
        now, tries = now + pause, tries + 1


def test_a_new_login_takes_the_place_of_what_ended(store: Store) -> None:
    store.run(partial(revoke, kind="user", key=USER))
    (login,) = store.run(partial(ended_logins.to_revoke, now=NOW))
    store.run(partial(ended_logins.begin, user=USER, provider="corp"))
    assert not ended(store)
    assert not store.run(partial(ended_logins.forget, login=login)), "it is the new one's"


def begin(conn: Transaction) -> int:
    number = browser_sessions.begin(
        conn,
        token_hash=b"t",
        replaces=b"none",
        name=WHO.name,
        audience="public",
        method="provider",
        source="127.0.0.1",
        now=NOW,
        expires_at=UnixTime(NOW + 60),
    )
    assert number is not None
    return number


def grant(conn: Transaction, grant_id: str) -> None:
    grants.add(
        conn,
        grant_id=grant_id,
        user=USER,
        client_id="app",
        connector="desk",
        scope="mcp",
        now=NOW,
        expires_at=UnixTime(NOW + 600),
    )


def test_a_login_ends_with_the_last_thing_that_hangs_on_it(store: Store) -> None:
    store.run(begin)
    for grant_id in ("one", "two"):
        store.run(partial(grant, grant_id=grant_id))
    end = partial(grants.end, reason="r", now=NOW)
    store.run(partial(end, grant_id="one"))
    browser_gone = partial(browser_sessions.end_all, name=WHO.name)
    store.run(browser_gone)
    assert not ended(store), "an app is left"
    store.run(partial(end, grant_id="two"))
    assert ended(store)
    assert not ended(store, OTHER)


def test_a_login_whose_last_things_expire_ends_too(store: Store) -> None:
    store.run(begin)
    store.run(partial(grant, grant_id="one"))
    sweep = ended_logins.end_unused
    for seconds, ends in ((0, False), (60, False), (599, False), (600, True)):
        store.run(partial(sweep, now=UnixTime(NOW + seconds)))
        assert ended(store) == ends, seconds
