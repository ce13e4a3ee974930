"""Grants, codes, refresh tokens, consents, assertions: what is good once is good once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from bascule.clock import UnixTime
from bascule.identity.confirmation import Confirmation
from bascule.identity.revocation import LONGEST_LIFE_SECONDS, Kind
from bascule.storage import (
    agents,
    authorization_requests,
    codes,
    consents,
    counters,
    directory,
    grants,
    refresh_tokens,
    revocations,
    used_assertions,
    users,
)
from bascule.storage.agents import Agent
from bascule.storage.authorization_requests import AuthorizationRequest
from bascule.storage.codes import Reused
from bascule.storage.grants import Grant
from bascule.storage.refresh_tokens import GRACE_SECONDS, IDLE_SECONDS, Retried, Rotated
from bascule.storage.store import Store
from oauth_state import (
    NOW,
    REDIRECT,
    WEEK,
    add_grant,
    add_refresh_token,
    fill,
    new_store,
    redeem,
    rotate,
)
from postgres import OpenStore


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


def live(store: Store, grant_id: str = "g-1", now: int = NOW) -> Grant | None:
    return store.read(partial(grants.live, grant_id=grant_id, now=UnixTime(now)))


def race(attempt: Callable[[int], object], threads: int = 6) -> list[object]:
    """Try the same from several threads at the same moment; gives what each got."""
    start = threading.Barrier(threads)
    found: list[object] = []

    def work(number: int) -> None:
        start.wait()
        found.append(attempt(number))

    running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for it in running:
        it.start()
    for it in running:
        it.join()
    return found


# Codes


def test_a_code_gives_its_grant_once_and_again_ends_it(store: Store) -> None:
    grant = add_grant(store)
    assert redeem(store) == grant
    assert live(store) == grant
    assert redeem(store) == Reused("g-1")
    assert live(store) is None
    assert redeem(store) is None


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"redirect_uri": "https://client.example/cb2"},
        {"code_challenge": "another"},
        {"code_hash": b"unknown"},
        {"now": NOW + codes.LIFETIME_SECONDS},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_code_is_bound_and_a_wrong_attempt_uses_nothing_up(
    store: Store, change: dict[str, object]
) -> None:
    grant = add_grant(store)
    assert redeem(store, **change) is None
    assert redeem(store) == grant


def test_a_redirect_uri_need_not_be_repeated(store: Store) -> None:
    assert redeem(store, redirect_uri=None, grant_id=add_grant(store).id) is not None


def test_of_six_that_redeem_a_code_one_wins_and_the_grant_ends(store: Store) -> None:
    for number in range(10):
        grant = add_grant(store, f"g-{number}")
        found = race(lambda _, name=grant.id: redeem(store, name))  # type: ignore[misc]
        assert sum(isinstance(it, Grant) for it in found) == 1
        assert found.count(Reused(grant.id)) == 1
        assert live(store, grant.id) is None


def test_a_code_says_whether_it_can_be_redeemed(store: Store) -> None:
    add_grant(store)
    usable = partial(codes.is_usable, code_hash=b"code of g-1")
    assert store.read(partial(usable, now=NOW))
    assert not store.read(partial(usable, now=UnixTime(NOW + codes.LIFETIME_SECONDS)))
    redeem(store)
    assert not store.read(partial(usable, now=NOW))


# Grants


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("all", ""),
        ("user", "user:alice"),
        ("agent", "app"),
        ("connector", "desk"),
        ("grant", "g-1"),
    ],
)
def test_a_revocation_ends_code_and_refresh_token_but_no_later_grant(
    store: Store, kind: Kind, key: str
) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    revoke = partial(revocations.revoke, kind=kind, key=key, reason="r", now=NOW)
    store.run(revoke)
    assert live(store) is None
    assert redeem(store) is None
    assert rotate(store, b"r1", b"r2") is None
    later = add_grant(store, "g-2", now=NOW + 1)
    assert live(store, "g-2", NOW + 1) == later


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("user", "user:bob"),
        ("agent", "other"),
        ("connector", "annex"),
        ("grant", "g-2"),
        ("jti", "g-1"),
    ],
)
def test_a_revocation_of_something_else_ends_nothing(
    store: Store, kind: Kind, key: str
) -> None:
    grant = add_grant(store)
    store.run(partial(revocations.revoke, kind=kind, key=key, reason="r", now=NOW))
    assert live(store) == grant


def test_who_is_disabled_gets_no_grant_and_no_refresh(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    store.run(partial(users.disable, name="alice", now=NOW))
    assert rotate(store, b"r1", b"r2") is None
    with pytest.raises(AssertionError):
        add_grant(store, "g-2", now=NOW + 5)
    store.run(partial(users.enable, name="alice"))
    assert live(store) is None


def test_a_disabled_agent_gets_no_refresh(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    store.run(partial(agents.disable, client_id="app", now=NOW))
    assert rotate(store, b"r1", b"r2") is None


def test_ending_a_grant_revokes_it_once(store: Store) -> None:
    add_grant(store)
    end = partial(grants.end, grant_id="g-1", reason="r", now=NOW)
    assert store.run(end) is True
    epoch = store.read(partial(counters.value, name="epoch"))
    assert store.run(end) is False
    assert store.read(partial(counters.value, name="epoch")) == epoch
    assert [it.key for it in store.read(revocations.every)] == ["g-1"]


def test_a_revocation_is_forgotten_when_nothing_it_names_can_be_valid(
    store: Store,
) -> None:
    add_grant(store)
    store.run(partial(grants.end, grant_id="g-1", reason="r", now=NOW))
    revoke = partial(revocations.revoke, kind="user", key="user:bob", reason="r")
    soon = UnixTime(NOW + LONGEST_LIFE_SECONDS)
    store.run(partial(revoke, now=soon))
    assert {it.key for it in store.read(revocations.every)} == {"g-1", "user:bob"}
    store.run(partial(revoke, now=UnixTime(soon + 1)))
    assert {it.key for it in store.read(revocations.every)} == {"user:bob"}
    assert live(store, now=soon) is None
    assert redeem(store) is None


def test_expired_grants_go_with_all_that_hangs_on_them(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    redeem(store)
    add_grant(store, "g-2", now=NOW + WEEK)
    assert redeem(store) is None
    assert rotate(store, b"r1", b"r2", now=NOW + 1) is None


# Refresh tokens


def test_a_refresh_token_gives_its_successor_the_place(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    assert rotate(store, b"r1", b"r2") == Rotated(grant)
    assert rotate(store, b"r2", b"r3") == Rotated(grant)


def test_a_retry_in_time_gets_the_same_successor(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    rotate(store, b"r1", b"r2")
    for _ in range(2):
        again = rotate(store, b"r1", b"r2 bis", now=NOW + GRACE_SECONDS)
        assert again == Retried(grant, b"sealed r2")
    assert rotate(store, b"r2 bis", b"r3", now=NOW + GRACE_SECONDS) is None
    assert rotate(store, b"r2", b"r3", now=NOW + GRACE_SECONDS) == Rotated(grant)


def test_a_retry_too_late_ends_the_family(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    rotate(store, b"r1", b"r2")
    assert rotate(store, b"r1", b"x", now=NOW + GRACE_SECONDS + 1) == Reused("g-1")
    assert rotate(store, b"r2", b"r3", now=NOW + GRACE_SECONDS + 1) is None


def test_a_retry_after_the_successor_was_used_ends_the_family(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    rotate(store, b"r1", b"r2")
    rotate(store, b"r2", b"r3")
    assert rotate(store, b"r1", b"x") == Reused("g-1")
    assert rotate(store, b"r3", b"r4") is None


def test_a_rotation_whose_successor_nobody_got_is_taken_back(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    rotate(store, b"r1", b"r2")
    take_back(store, b"r1", b"r2")
    late = NOW + GRACE_SECONDS + 1
    assert rotate(store, b"r2", b"x", now=late) is None
    assert rotate(store, b"r1", b"r2 bis", now=late) == Rotated(grant)


def test_a_rotation_is_not_taken_back_once_its_successor_was_used(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    rotate(store, b"r1", b"r2")
    rotate(store, b"r2", b"r3")
    take_back(store, b"r1", b"r2")
    assert rotate(store, b"r1", b"x", now=NOW + GRACE_SECONDS + 1) == Reused("g-1")


def take_back(store: Store, token: bytes, successor: bytes) -> None:
    undo = refresh_tokens.take_back
    store.run(partial(undo, token_hash=token, successor_hash=successor))


def test_the_sealed_successor_is_dropped_when_its_time_is_over(store: Store) -> None:
    add_refresh_token(store, add_grant(store), b"r1")
    rotate(store, b"r1", b"r2")
    other = add_grant(store, "g-2")
    add_refresh_token(store, other, b"s1")
    assert len(sealed(store)) == 1
    rotate(store, b"s1", b"s2", now=NOW + GRACE_SECONDS + 1)
    assert sealed(store) == [b"sealed s2"]
    rotate(store, b"s2", b"s3", now=NOW + GRACE_SECONDS + 2)
    assert sealed(store) == [b"sealed s3"]


def sealed(store: Store) -> list[bytes]:
    from sqlalchemy import select

    from bascule.storage.schema import refresh_tokens as table

    column = table.c.sealed_successor
    query = select(column).where(column.is_not(None))
    return list(store.read(lambda conn: conn.execute(query).scalars().all()))


def test_a_refresh_looks_at_no_more_rows_when_there_are_many(tmp_path: Path) -> None:
    """Used tokens stay for a week, to tell a copy: a million of them must not be read."""
    store = new_store(tmp_path)
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, sql: str, values: Any, *___: object) -> None:
        asked.append((sql, values))

    add_refresh_token(store, add_grant(store), b"r1")
    event.listen(store.engine, "before_cursor_execute", note)
    assert isinstance(rotate(store, b"r1", b"r2"), Rotated)
    event.remove(store.engine, "before_cursor_execute", note)
    statements = [(sql, values) for sql, values in asked if "refresh_tokens" in sql]
    assert len(statements) >= 3

    def plan(conn: Connection) -> str:
        return " ".join(
            str(row.detail)
            for sql, values in statements
            for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        )

    said = store.read(plan)
    assert "ix_refresh_tokens_sealed (used_at<?)" in said
    assert "ix_refresh_tokens_successor (successor_hash=?)" in said
    assert "SCAN" not in said


def test_another_clients_refresh_token_is_unknown_and_stays_good(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    assert rotate(store, b"r1", b"x", client_id="other") is None
    rotate(store, b"r1", b"r2")
    assert rotate(store, b"r1", b"x", client_id="other", now=NOW + 99) is None
    assert live(store) == grant


def test_a_refresh_token_ends_when_it_is_idle_and_with_its_grant(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    assert rotate(store, b"r1", b"x", now=NOW + IDLE_SECONDS) is None
    token, now = b"r1", NOW + IDLE_SECONDS - 1
    while now < NOW + WEEK:
        successor = b"after " + token
        assert rotate(store, token, successor, now=now) == Rotated(grant)
        token, now = successor, now + IDLE_SECONDS - 1
    assert rotate(store, token, b"x", now=NOW + WEEK) is None


def test_of_six_that_refresh_one_rotates_and_all_get_one_successor(store: Store) -> None:
    for number in range(10):
        grant = add_grant(store, f"g-{number}")
        first = f"r-{number}".encode()
        add_refresh_token(store, grant, first)
        found = race(lambda n, t=first: rotate(store, t, b"%b/%d" % (t, n)))  # type: ignore[misc]
        assert found.count(Rotated(grant)) == 1
        retried = {it.sealed_successor for it in found if isinstance(it, Retried)}
        assert len(retried) == 1
        assert live(store, grant.id) == grant


def test_a_token_tells_its_client_what_it_is_for(store: Store) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    ask = partial(refresh_tokens.current, token_hash=b"r1", now=NOW)
    assert store.read(partial(ask, client_id="app")) == (grant, NOW + IDLE_SECONDS)
    assert store.read(partial(ask, client_id="other")) is None
    of = partial(refresh_tokens.grant_of, token_hash=b"r1")
    assert store.read(partial(of, client_id="app")) == "g-1"
    assert store.read(partial(of, client_id="other")) is None
    rotate(store, b"r1", b"r2")
    assert store.read(partial(ask, client_id="app")) is None
    assert store.read(partial(of, client_id="app")) == "g-1"


# Consents


CONSENT = {
    "user": "user:alice",
    "client_id": "app",
    "redirect_uri": REDIRECT,
    "connector": "desk",
    "scope": "desk.echo mcp:desk",
}


def consented(store: Store, now: int = NOW, **change: str) -> bool:
    values = {**CONSENT, **change}
    return store.read(partial(consents.covers, **values, now=UnixTime(now)))


def test_a_consent_covers_what_was_consented_to_and_less(store: Store) -> None:
    assert not consented(store)
    store.run(partial(consents.remember, **CONSENT, now=NOW))
    assert consented(store)
    assert consented(store, scope="mcp:desk")
    store.run(partial(consents.remember, **CONSENT, now=NOW))
    assert consented(store)
    assert not consented(store, now=NOW + consents.LIFETIME_SECONDS)


@pytest.mark.parametrize(
    "change",
    [
        {"user": "user:bob"},
        {"client_id": "other"},
        {"redirect_uri": "https://client.example/cb2"},
        {"connector": "annex"},
        {"scope": "mcp:desk more"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_consent_covers_nothing_else(store: Store, change: dict[str, str]) -> None:
    store.run(partial(consents.remember, **CONSENT, now=NOW))
    assert not consented(store, **change)


def test_a_revocation_ends_consents(store: Store) -> None:
    store.run(partial(consents.remember, **CONSENT, now=NOW))
    revoke = partial(revocations.revoke, kind="user", key="user:alice", reason="r", now=NOW)
    store.run(revoke)
    assert not consented(store)


# Requests that wait for a decision


REQUEST = AuthorizationRequest(
    user="user:alice",
    client_id="app",
    redirect_uri=REDIRECT,
    state="s",
    code_challenge="challenge",
    connector="desk",
    scope="mcp:desk",
)


def find(store: Store, session: int = 1, now: int = NOW) -> object:
    ask = partial(authorization_requests.find, id_hash=b"id", session=session)
    found = store.read(partial(ask, now=UnixTime(now)))
    return None if found is None else (found.request, found.decision, found.sealed_code)


def test_a_request_is_found_by_its_session_until_it_expires(store: Store) -> None:
    add = partial(authorization_requests.add, id_hash=b"id", session=1)
    store.run(partial(add, request=REQUEST, now=NOW))
    assert find(store) == (REQUEST, None, None)
    assert find(store, session=2) is None
    assert find(store, now=NOW + authorization_requests.LIFETIME_SECONDS) is None


def test_a_session_has_only_so_many_requests(store: Store) -> None:
    def add(number: int, session: int) -> None:
        work = partial(authorization_requests.add, request=REQUEST, session=session)
        name = b"%d of %d" % (number, session)
        store.run(partial(work, id_hash=name, now=UnixTime(NOW + number)))

    def waits(number: int, session: int) -> bool:
        ask = partial(authorization_requests.find, id_hash=b"%d of %d" % (number, session))
        return store.read(partial(ask, session=session, now=NOW)) is not None

    add(0, 2)
    limit = authorization_requests.MAX_OF_SESSION
    for number in range(limit + 3):
        add(number, 1)
    assert [waits(number, 1) for number in range(limit + 3)] == [False] * 3 + [True] * limit
    assert waits(0, 2)


def test_a_request_is_decided_once(store: Store) -> None:
    add = partial(authorization_requests.add, id_hash=b"id", session=1)
    store.run(partial(add, request=REQUEST, now=NOW))
    decide = partial(authorization_requests.decide, id_hash=b"id")
    won = race(
        lambda n: store.run(partial(decide, decision="allow", sealed_code=b"%d" % n))
    )
    assert won.count(True) == 1
    assert not store.run(partial(decide, decision="deny", sealed_code=None))
    found = find(store)
    assert isinstance(found, tuple)
    assert found[1] == "allow"


# Assertions


def test_an_assertion_counts_once(store: Store) -> None:
    use = partial(used_assertions.use, digest=b"d", expires_at=UnixTime(NOW + 60), now=NOW)
    assert race(lambda _: store.run(use)).count(True) == 1
    assert not store.run(use)
    later = UnixTime(NOW + 61)
    assert store.run(partial(used_assertions.use, digest=b"d", expires_at=later, now=later))


# Agents


def agent(store: Store, client_id: str) -> Agent | None:
    return store.read(partial(agents.get, client_id=client_id))


def note(store: Store, **change: object) -> None:
    values: dict[str, object] = {
        "client_id": "https://client.example/id.json",
        "auth_method": "private_key_jwt",
        "name": "Client",
        "redirect_uris": [REDIRECT],
        "now": NOW,
        **change,
    }
    store.run(partial(agents.note_document, **values))  # type: ignore[arg-type]


def test_a_client_of_a_document_follows_its_document(store: Store) -> None:
    note(store)
    found = agent(store, "https://client.example/id.json")
    assert found is not None
    assert (found.origin, found.verified) == ("document", True)
    generation = store.read(directory.generation)
    note(store)
    assert store.read(directory.generation) == generation
    note(store, redirect_uris=[REDIRECT, "http://127.0.0.1/cb"])
    found = agent(store, "https://client.example/id.json")
    assert found is not None
    assert not found.verified
    assert store.read(directory.generation) > generation


def test_a_document_changes_no_client_of_the_operator(store: Store) -> None:
    note(store, client_id="app", name="Imposter")
    found = agent(store, "app")
    assert found is not None
    assert (found.origin, found.name, found.auth_method) == ("operator", None, "none")


@pytest.mark.parametrize(
    ("secret", "redirect", "verified"),
    [
        (b"hash", "https://client.example/cb", True),
        (b"hash", "http://localhost/cb", False),
        (None, "https://client.example/cb", False),
    ],
)
def test_an_agent_is_verified_when_it_authenticates_and_codes_reach_it_over_https(
    store: Store, secret: bytes | None, redirect: str, verified: bool
) -> None:
    add = partial(agents.add, client_id="x", secret_hash=secret, jwks=None, now=NOW)
    store.run(partial(add, redirect_uris=(redirect,)))
    assert store.read(directory.load).verified_agents["x"] is verified


def test_a_client_that_registered_itself_goes_unless_it_is_used(store: Store) -> None:
    for name in ("unused", "used", "banned"):
        store.run(
            partial(
                agents.add,
                client_id=name,
                secret_hash=b"hash",
                jwks=None,
                redirect_uris=(REDIRECT,),
                now=NOW,
                origin="dynamic",
                expires_at=UnixTime(NOW + 60),
            )
        )
    assert store.read(directory.load).verified_agents["used"] is False
    assert store.read(partial(agents.count_dynamic, now=NOW)) == 3
    store.run(partial(agents.extend, client_id="used", expires_at=UnixTime(NOW + 120)))
    store.run(partial(agents.disable, client_id="banned", now=NOW))
    store.run(partial(agents.forget_expired, now=UnixTime(NOW + 60)))
    assert agent(store, "unused") is None
    assert agent(store, "used") is not None
    assert agent(store, "banned") is not None
    assert agent(store, "app") is not None


# Bound to what the client holds


@pytest.mark.parametrize("stranger", [None, Confirmation(key="b" * 43)])
def test_a_bound_refresh_token_is_nothing_to_who_holds_something_else(
    store: Store, stranger: Confirmation | None
) -> None:
    """Neither is it used up, nor does a second use end the family."""
    held = Confirmation(key="a" * 43)
    grant = add_grant(store)
    store.run(partial(grants.bind, grant_id=grant.id, cnf=held))
    add_refresh_token(store, grant, b"r-1")
    assert rotate(store, b"r-1", b"x", cnf=stranger) is None
    assert isinstance(rotate(store, b"r-1", b"r-2", cnf=held), Rotated)
    assert isinstance(rotate(store, b"r-1", b"r-2", cnf=held), Retried)
    assert rotate(store, b"r-1", b"x", cnf=stranger, now=NOW + GRACE_SECONDS + 1) is None
    found = live(store)
    assert found is not None
    assert found.cnf == held
    assert isinstance(
        rotate(store, b"r-1", b"x", cnf=held, now=NOW + GRACE_SECONDS + 1), Reused
    )
