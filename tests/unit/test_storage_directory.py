"""Users, agents, tokens and revocations, and the copy of them that decides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import Connection, delete, insert, select

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken
from bascule.identity.revocation import Kind
from bascule.storage import (
    agents,
    counters,
    directory,
    foreigners,
    revocations,
    tokens,
    users,
)
from bascule.storage.directory import BUILT_IN_AGENT, Directory, Subject
from bascule.storage.foreigners import Foreigner
from bascule.storage.schema import metadata
from bascule.storage.store import Store
from postgres import OpenStore

T = TypeVar("T")
NOW = UnixTime(1_800_000_000)


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(partial(add_user, name="alice", groups=("support", "on-call")))
        opened.run(partial(add_agent, client_id="cli", secret_hash=bytes(32)))
        yield opened


def add_user(conn: Connection, *, name: str, groups: tuple[str, ...] = ()) -> bool:
    return users.add(
        conn,
        name=name,
        groups=groups,
        is_admin=False,
        setup_hash=name.encode(),
        setup_expires_at=NOW,
        now=NOW,
    )


def add_agent(conn: Connection, *, client_id: str, secret_hash: bytes | None) -> bool:
    return agents.add(
        conn,
        client_id=client_id,
        secret_hash=secret_hash,
        jwks=None,
        redirect_uris=("https://cli.example/b", "https://cli.example/a"),
        now=NOW,
    )


def issue(
    store: Store,
    *,
    user: str | None = "user:alice",
    agent: str = "cli",
    jti: str = "j-1",
    now: int = NOW,
) -> AccessToken | None:
    number = store.run(
        partial(
            tokens.register,
            jti=jti,
            user=user,
            client_id=agent,
            connector="tickets",
            scope="mcp:tickets",
            issued_at=UnixTime(now),
            expires_at=UnixTime(now + 600),
        )
    )
    if number is None:
        return None
    return AccessToken(
        user=user,
        agent=agent,
        jti=jti,
        scopes=frozenset({"mcp:tickets"}),
        issued_at=UnixTime(now),
        expires_at=UnixTime(now + 600),
        issue_number=number,
    )


def issued(store: Store, **facts: object) -> AccessToken:
    token = issue(store, **facts)  # type: ignore[arg-type]
    assert token is not None
    return token


def subject(store: Store, token: AccessToken) -> Subject | None:
    return store.read(directory.load).subject(token, "tickets")


def test_a_token_stands_for_its_user_with_the_groups_of_now(store: Store) -> None:
    assert subject(store, issued(store)) == Subject(
        user="user:alice",
        agent="cli",
        groups=frozenset({"group:support", "group:on-call"}),
        scopes=frozenset({"mcp:tickets"}),
        agent_verified=True,
    )


def test_an_agent_by_itself_is_in_no_group(store: Store) -> None:
    found = subject(store, issued(store, user=None))
    assert found is not None
    assert (found.user, found.groups) == (None, frozenset())


def test_an_agent_without_secret_or_key_is_not_verified(store: Store) -> None:
    store.run(partial(add_agent, client_id="public", secret_hash=None))
    found = subject(store, issued(store, agent="public"))
    assert found is not None
    assert not found.agent_verified


def test_who_is_not_known_is_nobody(store: Store) -> None:
    assert issue(store, user="user:bob") is None
    assert issue(store, agent="unknown") is None
    token = issued(store)
    empty = Directory(0, {}, {BUILT_IN_AGENT: True}, store.read(directory.load).revocations)
    assert empty.subject(token, "tickets") is None


@pytest.mark.parametrize(
    ("disable", "enable"),
    [
        (
            partial(users.disable, name="alice", now=NOW),
            partial(users.enable, name="alice"),
        ),
        (
            partial(agents.disable, client_id="cli", now=NOW),
            partial(agents.enable, client_id="cli"),
        ),
    ],
    ids=["user", "agent"],
)
def test_who_is_disabled_is_refused_and_comes_back_without_old_tokens(
    store: Store,
    disable: Callable[[Connection], None],
    enable: Callable[[Connection], None],
) -> None:
    before = issued(store)
    store.run(disable)
    assert subject(store, before) is None
    assert issue(store, jti="j-2") is None
    store.run(enable)
    assert subject(store, before) is None
    assert subject(store, issued(store, jti="j-3")) is not None


def test_within_one_second_before_and_after_are_told_apart(store: Store) -> None:
    first = issued(store, jti="j-1")
    store.run(partial(revocations.revoke, kind="all", key="", reason="r", now=NOW))
    second = issued(store, jti="j-2")
    assert subject(store, first) is None
    assert subject(store, second) is not None
    store.run(partial(revocations.revoke, kind="all", key="", reason="r", now=NOW))
    assert subject(store, second) is None


def test_a_clock_that_went_back_spares_no_token(store: Store) -> None:
    token = issued(store)
    earlier = UnixTime(NOW - 3600)
    store.run(partial(revocations.revoke, kind="all", key="", reason="r", now=earlier))
    assert subject(store, token) is None
    assert subject(store, issued(store, jti="j-2", now=earlier)) is not None


def test_a_second_revocation_replaces_the_first(store: Store) -> None:
    token = issued(store)
    for _ in range(2):
        store.run(partial(revocations.revoke, kind="jti", key="j-1", reason="r", now=NOW))
    assert len(store.read(revocations.every)) == 1
    assert subject(store, token) is None


def test_each_revocation_raises_the_epoch(store: Store) -> None:
    revoke = partial(revocations.revoke, kind="user", key="user:x", reason="r", now=NOW)
    assert [store.run(revoke), store.run(revoke)] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        partial(add_user, name="bob"),
        partial(users.disable, name="alice", now=NOW),
        partial(users.enable, name="alice"),
        partial(add_agent, client_id="other", secret_hash=None),
        partial(agents.disable, client_id="cli", now=NOW),
        partial(agents.enable, client_id="cli"),
        partial(revocations.revoke, kind="all", key="", reason="r", now=NOW),
    ],
)
def test_a_change_is_seen_by_who_asks_for_the_generation(
    store: Store, change: Callable[[Connection], object]
) -> None:
    before = store.read(directory.load).generation
    store.run(change)
    assert store.read(directory.generation) > before


def test_issuing_tokens_changes_no_directory(store: Store) -> None:
    """Else each token would make every process load it all again."""
    before = store.read(directory.generation)
    issued(store)
    assert store.read(directory.generation) == before


def test_a_name_is_given_once(store: Store) -> None:
    assert not store.run(partial(add_user, name="alice", groups=("admins",)))
    assert not store.run(partial(add_agent, client_id="cli", secret_hash=None))
    found = store.read(partial(users.get, name="alice"))
    assert found is not None
    assert found.groups == ("on-call", "support")


def test_one_is_found_as_in_the_list_of_all(store: Store) -> None:
    store.run(partial(add_user, name="bob", groups=("support",)))
    store.run(partial(add_agent, client_id="other", secret_hash=None))
    for user in store.read(users.every):
        assert store.read(partial(users.get, name=user.name)) == user
    for agent in store.read(agents.every):
        assert store.read(partial(agents.get, client_id=agent.client_id)) == agent
    assert store.read(partial(users.get, name="carol")) is None
    assert store.read(partial(agents.get, client_id="carol")) is None


def test_a_new_setup_link_ends_the_old(store: Store) -> None:
    reset = partial(users.reset, setup_hash=b"new", setup_expires_at=NOW)
    assert store.run(partial(reset, name="alice"))
    assert not store.run(partial(reset, name="bob"))


def test_live_tokens_are_counted_by_what_a_revocation_names(store: Store) -> None:
    issued(store, jti="j-1")
    issued(store, jti="j-2", user=None, agent=BUILT_IN_AGENT)
    issued(store, jti="j-3", now=NOW - 600)
    count = partial(tokens.count_live, now=NOW)
    assert store.read(partial(count, kind="all", key="")) == 2
    assert store.read(partial(count, kind="connector", key="tickets")) == 2
    assert store.read(partial(count, kind="user", key="user:alice")) == 1
    assert store.read(partial(count, kind="agent", key=BUILT_IN_AGENT)) == 1
    assert store.read(partial(count, kind="jti", key="j-2")) == 1
    assert store.read(partial(count, kind="jti", key="j-9")) == 0
    assert store.read(partial(count, kind="grant", key="g-1")) == 0


def test_rows_of_expired_tokens_go_when_others_are_issued(store: Store) -> None:
    issued(store, jti="j-1")
    issued(store, jti="j-2", now=NOW + 601)
    before = UnixTime(NOW - 1)
    assert store.read(partial(tokens.count_live, kind="all", key="", now=before)) == 1


def lose(store: Store, work: Callable[[], T]) -> T:
    """Do something, then bring back the rows of before, as a dump restored does."""
    tables = metadata.sorted_tables
    dump = store.read(
        lambda conn: [[row._asdict() for row in conn.execute(select(it))] for it in tables]
    )

    def restore(conn: Connection) -> None:
        for table in reversed(tables):
            conn.execute(delete(table))
        for table, rows in zip(tables, dump, strict=True):
            if rows:
                conn.execute(insert(table), rows)

    result = work()
    store.run(restore)
    return result


def test_a_token_that_a_restored_database_forgot_is_revoked_all_the_same(
    store: Store,
) -> None:
    """Nothing shows that this database is older: issuing does not change the directory."""
    token = lose(store, lambda: issued(store))
    assert not store.run(
        partial(revocations.distrust_restored, known_generation=2, now=NOW)
    )
    store.run(partial(revocations.revoke, kind="jti", key="j-1", reason="r", now=NOW))
    assert subject(store, token) is None


def test_a_database_that_forgot_a_change_trusts_nothing_of_before(
    store: Store,
) -> None:
    kept = issued(store)

    def forgotten() -> tuple[AccessToken, int, int]:
        revoke = partial(revocations.revoke, kind="jti", key="j-9", reason="r", now=NOW)
        epoch = [store.run(revoke) for _ in range(3)][-1]
        return issued(store, jti="j-2"), store.read(directory.generation), epoch

    later = UnixTime(NOW + 1)
    lost, known, epoch = lose(store, forgotten)
    distrust = partial(revocations.distrust_restored, known_generation=known, now=later)
    assert store.run(distrust)
    assert subject(store, kept) is None
    assert subject(store, lost) is None
    assert subject(store, issued(store, jti="j-3", now=later)) is not None
    assert store.read(directory.generation) > known
    assert store.read(partial(counters.value, name="epoch")) > epoch
    assert not store.run(distrust)


def test_counters_only_grow(store: Store) -> None:
    assert store.run(partial(counters.advance, name="issued", at_least=5)) == 5
    assert store.run(partial(counters.advance, name="issued", at_least=5)) == 6
    assert store.run(partial(counters.advance, name="issued", by=0, at_least=3)) == 6
    assert store.run(partial(counters.advance, name="issued", by=4)) == 10


FOREIGN = AccessToken(
    user="user:https://corp.example|alice",
    agent="https://corp.example|claude",
    jti="j",
    scopes=frozenset({"mcp:time"}),
    issued_at=UnixTime(NOW),
    expires_at=UnixTime(NOW + 600),
    issue_number=None,
    issuer="https://corp.example",
    groups=frozenset({"group:https://corp.example|staff"}),
)


def test_a_foreign_subject_needs_no_row_and_has_the_groups_of_its_token(
    store: Store,
) -> None:
    assert store.read(directory.load).subject(FOREIGN, "time") == Subject(
        user=FOREIGN.user,
        agent=FOREIGN.agent,
        groups=FOREIGN.groups,
        scopes=FOREIGN.scopes,
        agent_verified=False,
    )


def test_a_foreign_agent_by_itself_has_authenticated(store: Store) -> None:
    found = store.read(directory.load).subject(replace(FOREIGN, user=None), "time")
    assert found is not None
    assert found.agent_verified


@pytest.mark.parametrize("seconds", [-1, 0, 1])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("user", FOREIGN.user),
        ("agent", FOREIGN.agent),
        ("jti", "j"),
        ("connector", "time"),
        ("all", ""),
    ],
)
def test_a_revocation_covers_foreign_tokens_up_to_its_second(
    store: Store, kind: Kind, key: str, seconds: int
) -> None:
    revoke = partial(revocations.revoke, kind=kind, key=key, reason="a test", now=NOW)
    store.run(revoke)
    later = replace(FOREIGN, issued_at=UnixTime(NOW + seconds))
    found = store.read(directory.load).subject(later, "time")
    assert (found is None) == (seconds <= 0)


FOREIGNERS = [
    Foreigner("user", "user:https://corp.example|alice"),
    Foreigner("agent", "https://corp.example|claude"),
]


@pytest.mark.parametrize("who", FOREIGNERS)
def test_a_disabled_foreigner_stays_out_whatever_it_is_issued_and_revoked(
    store: Store, who: Foreigner
) -> None:
    later = replace(FOREIGN, issued_at=UnixTime(NOW + 10**9))
    store.run(partial(foreigners.disable, who=who, now=NOW))
    assert store.read(directory.load).subject(later, "time") is None
    again = partial(revocations.revoke, kind=who.kind, key=who.key, reason="again")
    store.run(partial(again, now=UnixTime(NOW + 5)))
    assert store.read(directory.load).subject(later, "time") is None
    assert store.read(foreigners.every) == [who]


@pytest.mark.parametrize("who", FOREIGNERS)
def test_an_enabled_foreigner_comes_in_with_what_it_is_issued_afterwards(
    store: Store, who: Foreigner
) -> None:
    store.run(partial(foreigners.disable, who=who, now=NOW))
    assert store.run(partial(foreigners.enable, who=who, now=UnixTime(NOW + 5)))
    assert not store.run(partial(foreigners.enable, who=who, now=UnixTime(NOW + 5)))
    assert store.read(foreigners.every) == []
    for seconds, is_in in ((5, False), (6, True)):
        token = replace(FOREIGN, issued_at=UnixTime(NOW + seconds))
        found = store.read(directory.load).subject(token, "time")
        assert (found is not None) == is_in


def test_a_clock_that_steps_back_takes_no_revocation_back(store: Store) -> None:
    revoke = partial(
        revocations.revoke, kind="user", key=str(FOREIGN.user), reason="a test"
    )
    store.run(partial(revoke, now=UnixTime(NOW + 100)))
    store.run(partial(revoke, now=NOW))
    token = replace(FOREIGN, issued_at=UnixTime(NOW + 50))
    assert store.read(directory.load).subject(token, "time") is None
