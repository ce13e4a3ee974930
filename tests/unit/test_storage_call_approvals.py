"""Calls that wait for a human: the rules on SQLite, what needs an engine's help on both."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import call_approvals, revocations, users
from bascule.storage.call_approvals import (
    CHAIN_SECONDS,
    KEPT_SECONDS,
    LIFETIME_SECONDS,
    MAX_PENDING,
    CallApproval,
    CallRequest,
)
from bascule.storage.call_votes import REQUESTER
from bascule.storage.store import Store, Transaction, open_store
from calls_asked import CALL, add_user
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)
SEALED = b"sealed"
BINDING = CALL.binding


def at(seconds: int) -> UnixTime:
    return UnixTime(NOW + seconds)


def add_users(conn: Transaction) -> None:
    for name in ("alice", "bob", "carol"):
        add_user(conn, name, now=at(-100))


@pytest.fixture(scope="module")
def peopled(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database with users, to copy."""
    path = shutil.copy(migrated_file, tmp_path_factory.mktemp("peopled") / "state.db")
    with contextlib.closing(open_store(path)) as opened:
        opened.run(add_users)
    return path


@pytest.fixture
def store(peopled: Path, tmp_path: Path) -> Iterator[Store]:
    path = shutil.copy(peopled, tmp_path / "state.db")
    with contextlib.closing(open_store(path)) as opened:
        yield opened


@pytest.fixture
def any_store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(add_users)
        yield opened


def ask(
    store: Store, name: str = "1", request: CallRequest = CALL, now: UnixTime = NOW
) -> CallApproval | None:
    work = partial(
        call_approvals.ask,
        request=request,
        approval_id=name,
        sealed_arguments=SEALED,
        now=now,
    )
    return store.run(work)


def vote(store: Store, approver: str = "user:bob", **changes: Any) -> CallApproval | None:
    said: dict[str, Any] = {
        "approval_id": "1",
        "decision": "approve",
        "rules": frozenset({"payments"}),
        "quorums": {"payments": 1},
        "now": at(10),
        **changes,
    }
    return store.run(partial(call_approvals.vote, approver=approver, **said))


def use(store: Store, **changes: Any) -> bool:
    how: dict[str, Any] = {"binding": BINDING, "round": 1, "now": at(20), **changes}
    return store.run(partial(call_approvals.use, approval_id="1", **how))


def found(store: Store, name: str = "1", now: UnixTime = NOW) -> CallApproval:
    approval = store.read(partial(call_approvals.find, approval_id=name, now=now))
    assert approval is not None
    return approval


def revoke(store: Store, kind: Kind, key: str, now: UnixTime) -> None:
    store.run(partial(revocations.revoke, kind=kind, key=key, reason="x", now=now))


def test_what_is_asked_is_kept_as_it_was_asked(any_store: Store) -> None:
    asked = ask(any_store)
    assert asked == found(any_store)
    assert asked is not None
    assert (asked.state, asked.request, asked.round) == ("pending", CALL, 0)
    assert (asked.asked_at, asked.expires_at) == (NOW, at(LIFETIME_SECONDS))
    assert asked.sealed_arguments == SEALED
    assert repr(SEALED) not in repr(asked)
    assert any_store.read(partial(call_approvals.find, approval_id="2", now=NOW)) is None


def test_an_agent_by_itself_asks_too(any_store: Store) -> None:
    asked = ask(any_store, request=replace(CALL, user=None))
    assert asked is not None
    assert asked.request.user is None


def test_an_approved_call_is_made_once(any_store: Store) -> None:
    ask(any_store)
    assert not use(any_store), "nobody has approved it"
    after = vote(any_store)
    assert after is not None
    assert (after.state, after.approvers) == ("approved", ("user:bob",))
    assert after.expires_at == at(10 + LIFETIME_SECONDS)
    assert use(any_store)
    assert not use(any_store)
    over = found(any_store)
    assert (over.state, over.round, over.sealed_arguments) == ("used", 1, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"binding": "c" * 64},
        {"binding": BINDING[:-1] + "c"},
        {"binding": ""},
        {"round": 0},
        {"round": 2},
        {"now": at(10 + LIFETIME_SECONDS)},
        {"now": at(10 + 10 * LIFETIME_SECONDS)},
    ],
)
def test_an_approval_is_good_for_nothing_else(store: Store, wrong: dict[str, Any]) -> None:
    ask(store)
    vote(store)
    assert not use(store, **wrong)
    assert use(store), "what failed has spent nothing"


def test_of_many_that_come_at_once_one_gets_it(
    open_state: OpenStore, any_store: Store
) -> None:
    ask(any_store)
    vote(any_store)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        stores = [stack.enter_context(contextlib.closing(open_state())) for _ in range(6)]
        assert sorted(pool.map(use, stores)) == [False] * 5 + [True]
        again = partial(use, round=2)
        assert sorted(pool.map(again, stores)) == [False] * 5 + [True]


def test_each_round_of_its_call_is_made_once_and_in_order(store: Store) -> None:
    ask(store)
    vote(store)
    assert use(store, round=1)
    assert not use(store, round=3)
    assert use(store, round=2, now=at(20 + CHAIN_SECONDS - 1))
    assert not use(store, round=2)
    assert not use(store, round=1)
    late = 20 + 2 * CHAIN_SECONDS - 1
    assert not use(store, round=3, now=at(late))
    assert use(store, round=3, now=at(late - 1))


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_decision_is_final(store: Store, decision: str) -> None:
    ask(store)
    assert vote(store, decision=decision) is not None
    other = {"approve": "deny", "deny": "approve"}[decision]
    assert vote(store, "user:carol", decision=other) is None
    assert vote(store, decision=other) is None
    assert use(store) == (decision == "approve")


def test_a_refusal_wipes_the_arguments(store: Store) -> None:
    ask(store)
    after = vote(store, decision="deny")
    assert after is not None
    assert (after.state, after.sealed_arguments, after.approvers) == ("denied", None, ())


def test_what_nobody_decides_in_time_is_over(store: Store) -> None:
    ask(store)
    assert found(store, now=at(LIFETIME_SECONDS - 1)).state == "pending"
    assert found(store, now=at(LIFETIME_SECONDS)).state == "expired"
    assert vote(store, now=at(LIFETIME_SECONDS)) is None
    assert not use(store)


def test_what_is_approved_and_not_called_in_time_is_over(store: Store) -> None:
    ask(store)
    vote(store)
    assert found(store, now=at(10 + LIFETIME_SECONDS)).state == "expired"


def test_one_human_counts_once(store: Store) -> None:
    ask(store)
    both = {"quorums": {"payments": 2}}
    first = vote(store, **both)
    assert first is not None
    assert (first.state, first.expires_at) == ("pending", at(LIFETIME_SECONDS))
    assert vote(store, **both) is None
    assert not use(store)
    second = vote(store, "user:carol", **both)
    assert second is not None
    assert (second.state, second.approvers) == ("approved", ("user:bob", "user:carol"))
    assert use(store)


def test_each_rule_wants_its_own(any_store: Store) -> None:
    ask(any_store, request=replace(CALL, rules=("payments", "security")))
    quorums = {"payments": 1, "security": 1}
    first = vote(any_store, quorums=quorums)
    assert first is not None
    assert first.state == "pending"
    second = vote(
        any_store, "user:carol", quorums=quorums, rules=frozenset({"payments", "security"})
    )
    assert second is not None
    assert second.state == "approved"


@pytest.mark.parametrize("quorums", [{}, {"other": 1}])
def test_a_rule_that_is_gone_is_never_content(
    store: Store, quorums: dict[str, int]
) -> None:
    ask(store)
    after = vote(store, quorums=quorums)
    assert after is not None
    assert after.state == "pending"


def test_a_call_without_rules_is_never_approved(store: Store) -> None:
    ask(store, request=replace(CALL, rules=()))
    after = vote(store)
    assert after is not None
    assert after.state == "pending"


def test_a_quorum_of_nobody_is_one(store: Store) -> None:
    ask(store)
    after = vote(store, rules=frozenset(), quorums={"payments": 0})
    assert after is not None
    assert after.state == "pending"


def test_who_repeats_a_call_asks_once(store: Store) -> None:
    first = ask(store)
    assert ask(store, "2", now=at(5)) == first
    vote(store)
    again = ask(store, "2", now=at(11))
    assert again is not None
    assert (again.id, again.state) == ("1", "approved")
    use(store)
    fresh = ask(store, "2", now=at(21))
    assert fresh is not None
    assert (fresh.id, fresh.state) == ("2", "pending")


def test_a_refusal_holds_against_who_asks_again(store: Store) -> None:
    ask(store)
    vote(store, decision="deny")
    last = ask(store, "2", now=at(10 + LIFETIME_SECONDS - 1))
    assert last is not None
    assert last.state == "denied"
    fresh = ask(store, "2", now=at(10 + LIFETIME_SECONDS))
    assert fresh is not None
    assert fresh.state == "pending"


def test_two_that_ask_at_once_ask_once(open_state: OpenStore, any_store: Store) -> None:
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        stores = [stack.enter_context(contextlib.closing(open_state())) for _ in range(6)]
        asked = list(pool.map(ask, stores, "123456"))
    assert len({it.id for it in asked if it is not None}) == 1
    assert len(any_store.read(partial(call_approvals.every, now=NOW))) == 1


def test_nobody_is_asked_without_end(any_store: Store) -> None:
    for number in range(MAX_PENDING):
        assert ask(any_store, str(number), replace(CALL, binding=str(number))) is not None
    assert ask(any_store, "more", replace(CALL, binding="more")) is None
    assert ask(any_store, "known", replace(CALL, binding="0")) is not None
    for other in (replace(CALL, agent="x"), replace(CALL, user=None)):
        assert ask(any_store, f"{other}", replace(other, binding=f"{other}")) is not None
    later = at(LIFETIME_SECONDS)
    assert ask(any_store, "later", replace(CALL, binding="later"), later) is not None


REVOKED: list[tuple[Kind, str]] = [
    ("all", ""),
    ("user", "user:alice"),
    ("agent", "desk-app"),
    ("connector", "files"),
]


@pytest.mark.parametrize(("kind", "key"), REVOKED)
def test_a_revocation_ends_what_was_asked_before(
    store: Store, kind: Kind, key: str
) -> None:
    ask(store)
    revoke(store, kind, key, at(5))
    assert found(store, now=at(6)).state == "expired"
    assert vote(store) is None
    fresh = ask(store, "2", now=at(6))
    assert fresh is not None
    assert (fresh.id, fresh.state) == ("2", "pending")


@pytest.mark.parametrize(("kind", "key"), [*REVOKED, ("user", "user:bob")])
@pytest.mark.parametrize("round", [1, 2])
def test_a_revocation_ends_what_was_approved_before(
    store: Store, kind: Kind, key: str, round: int
) -> None:
    """Of the caller, and of the approver: somebody else may have had that login."""
    ask(store)
    vote(store)
    for before in range(1, round):
        assert use(store, round=before)
    revoke(store, kind, key, at(15))
    assert not use(store, round=round)


def test_an_approver_who_was_disabled_has_approved_nothing(store: Store) -> None:
    ask(store)
    vote(store)
    store.run(partial(users.disable, name="bob", now=at(12)))
    assert found(store, now=at(13)).state == "expired"
    assert not use(store)


def test_a_voice_that_stands_no_more_does_not_count_to_a_quorum(store: Store) -> None:
    ask(store)
    vote(store, quorums={"payments": 2})
    store.run(partial(users.disable, name="bob", now=at(12)))
    after = vote(store, "user:carol", quorums={"payments": 2})
    assert after is not None
    assert after.state == "pending"


def test_who_acts_on_the_data_directory_has_no_login_to_lose(store: Store) -> None:
    ask(store)
    vote(store, "os:root (uid 0)")
    revoke(store, "user", "user:bob", at(15))
    assert use(store)


def test_a_client_takes_its_question_back(store: Store) -> None:
    ask(store)
    withdraw = partial(call_approvals.withdraw, approval_id="1", now=at(5))
    assert store.run(withdraw)
    after = found(store)
    assert (after.state, after.votes[0].approver) == ("denied", REQUESTER)
    assert not store.run(withdraw)
    assert vote(store) is None


def overdue(store: Store, now: UnixTime) -> list[str]:
    due = store.read(partial(call_approvals.has_overdue, now=now))
    ended = store.run(partial(call_approvals.end_overdue, now=now))
    assert due or not ended
    return [it.id for it in ended]


def test_what_is_overdue_is_ended_once_and_its_arguments_go(any_store: Store) -> None:
    ask(any_store)
    ask(any_store, "2", replace(CALL, binding="2"), at(1))
    assert overdue(any_store, at(LIFETIME_SECONDS - 1)) == []
    assert overdue(any_store, at(LIFETIME_SECONDS)) == ["1"]
    assert overdue(any_store, at(LIFETIME_SECONDS)) == []
    over = found(any_store, now=at(LIFETIME_SECONDS))
    assert (over.state, over.sealed_arguments) == ("expired", None)
    assert found(any_store, "2", now=at(LIFETIME_SECONDS)).state == "pending"
    assert overdue(any_store, at(10 * LIFETIME_SECONDS)) == ["2"]


def test_what_is_long_over_is_forgotten(any_store: Store) -> None:
    ask(any_store)
    vote(any_store)
    use(any_store)
    end = 20 + CHAIN_SECONDS + KEPT_SECONDS
    assert overdue(any_store, at(end - 1)) == []
    assert len(any_store.read(partial(call_approvals.every, now=at(end)))) == 1
    assert overdue(any_store, at(end)) == []
    assert any_store.read(partial(call_approvals.every, now=at(end))) == []


def test_all_are_given_newest_first(store: Store) -> None:
    ask(store)
    for name in "23":
        ask(store, name, replace(CALL, binding=name))
    vote(store, approval_id="2", decision="deny")

    def ids(read: Any, now: UnixTime) -> list[str]:
        return [it.id for it in store.read(partial(read, now=now))]

    assert ids(call_approvals.every, NOW) == ["3", "2", "1"]
    assert ids(call_approvals.pending, NOW) == ["3", "1"]
    assert ids(call_approvals.pending, at(LIFETIME_SECONDS)) == []
    revoke(store, "user", "user:alice", at(5))
    assert ids(call_approvals.pending, at(6)) == []


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", "\0"])
def test_what_cannot_be_an_id_is_none(text: str) -> None:
    assert not call_approvals.is_id(text)
    assert call_approvals.is_id("0123456789abcdef" * 2)


def test_who_was_disabled_while_they_decided_counts_for_nothing(store: Store) -> None:
    ask(store)
    store.run(partial(users.disable, name="bob", now=at(5)))
    after = vote(store)
    assert after is not None
    assert after.state == "pending"
    assert not use(store)


@pytest.mark.parametrize("decisions", ["aaaaaa", "aadaad"])
def test_of_many_who_decide_at_once_no_more_count_than_are_needed(
    open_state: OpenStore, any_store: Store, decisions: str
) -> None:
    """Nobody's word comes after the decision, and a no is never outvoted."""
    ask(any_store)

    def say(it: tuple[Store, int]) -> CallApproval | None:
        own, number = it
        word = "approve" if decisions[number] == "a" else "deny"
        return vote(own, f"os:{number}", decision=word, quorums={"payments": 3})

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        stores = [stack.enter_context(contextlib.closing(open_state())) for _ in range(6)]
        told = list(pool.map(say, zip(stores, range(6), strict=True)))
    final = found(any_store, now=at(10))
    words = [it.decision for it in final.votes]
    assert len(words) == sum(it is not None for it in told)
    if "deny" in words:
        assert (final.state, words.index("deny")) == ("denied", len(words) - 1)
        assert len(words) <= 3
    else:
        assert (final.state, len(words)) == ("approved", 3)
