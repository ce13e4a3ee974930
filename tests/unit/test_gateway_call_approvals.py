"""Approvals as calls meet them: their times, their rounds, and two replicas."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from bascule.clock import UnixTime, system_entropy
from bascule.decision.consent import digest_of
from bascule.decision.facts import CallFacts, CallToApprove, Principal
from bascule.gateway.approval_states import Shown
from bascule.gateway.call_approvals import LOOK_SECONDS, Approval, CallApprovals
from bascule.gateway.callers import StateUnconfirmedError
from bascule.storage import call_approvals as stored
from bascule.storage import users
from bascule.storage.call_approvals import (
    CHAIN_SECONDS,
    LIFETIME_SECONDS,
    MAX_PENDING,
    CallApproval,
)
from bascule.storage.call_votes import Decision
from bascule.storage.store import Store, open_store

NOW = UnixTime(1_800_000_000)
KEY = b"k" * 32
ALICE = Principal("user:alice", "desk", scopes=frozenset({"mcp:tickets"}))
FACTS = CallFacts(ALICE, "tickets", "tools/call", "tool", "delete", NOW, arguments={})
CALL = CallToApprove("b" * 64, ("writes",), b"{}", digest_of(b"{}"), "", "p" * 64)
Replicas = tuple[CallApprovals, CallApprovals]


@pytest.fixture
def state(migrated_file: Path, tmp_path: Path) -> Iterator[Store]:
    path = shutil.copy(migrated_file, tmp_path / "state.db")
    with contextlib.closing(open_store(path)) as store:
        add = partial(
            users.add,
            name="carol",
            groups=(),
            is_admin=False,
            setup_hash=None,
            setup_expires_at=None,
            now=UnixTime(NOW - 100),
        )
        store.run(add)
        yield store


@pytest.fixture
def replicas(state: Store, tmp_path: Path) -> Iterator[Replicas]:
    with contextlib.closing(open_store(tmp_path / "state.db")) as other:
        yield (
            CallApprovals(state, KEY, system_entropy),
            CallApprovals(other, KEY, system_entropy),
        )


def find(
    of: CallApprovals,
    *,
    shown: Shown | None = None,
    call: CallToApprove = CALL,
    after: int = 0,
    inner: str | None = None,
) -> Approval:
    facts = replace(FACTS, now=UnixTime(NOW + after))
    return asyncio.run(of.find(facts, call, shown, inner))


def use(of: CallApprovals, approval: Approval, *, after: int = 0) -> bool:
    return asyncio.run(of.use(approval, CALL.binding, UnixTime(NOW + after)))


def vote(
    store: Store, approval: Approval, decision: Decision = "approve", *, after: int = 0
) -> CallApproval | None:
    work = partial(
        stored.vote,
        approval_id=approval.id,
        approver="user:carol",
        decision=decision,
        rules=frozenset({"writes"}),
        quorums={"writes": 1},
        now=UnixTime(NOW + after),
    )
    return store.run(work)


def test_another_replica_knows_what_one_was_asked(replicas: Replicas, state: Store) -> None:
    one, other = replicas
    asked = find(one)
    assert asked.found == "pending"
    assert asked.consent is None
    assert find(other) == asked
    vote(state, asked)
    approved = find(other, shown=Shown(asked.id, 1))
    assert approved.found == "approved"
    assert approved.consent is not None
    assert approved.consent.binding == CALL.binding
    assert approved.consent.approvers == ("user:carol",)
    assert use(other, approved)
    assert not use(one, approved)
    assert find(one, shown=Shown(asked.id, 1)).consent is None
    assert find(one).id != asked.id


def test_no_answer_in_time_is_no(replicas: Replicas, state: Store) -> None:
    one, _ = replicas
    asked = find(one)
    late = LIFETIME_SECONDS
    assert vote(state, asked, after=late) is None
    found = find(one, shown=Shown(asked.id, 1), after=late)
    assert (found.found, found.consent) == ("expired", None)
    anew = find(one, after=late)
    assert (anew.found, anew.id != asked.id) == ("pending", True)


def test_an_approval_that_nobody_used_in_time_is_over(
    replicas: Replicas, state: Store
) -> None:
    one, _ = replicas
    asked = find(one)
    vote(state, asked, after=LIFETIME_SECONDS - 1)
    over = 2 * LIFETIME_SECONDS - 1
    in_time = find(one, shown=Shown(asked.id, 1), after=over - 1)
    assert in_time.consent is not None
    assert not use(one, in_time, after=over)
    assert find(one, shown=Shown(asked.id, 1), after=over).found == "expired"
    assert find(one, after=over).id != asked.id


def test_a_denial_holds_for_a_while(replicas: Replicas, state: Store) -> None:
    one, _ = replicas
    asked = find(one)
    vote(state, asked, "deny")
    assert find(one, after=LIFETIME_SECONDS - 1) == Approval("denied", asked.id)
    assert find(one, after=LIFETIME_SECONDS).found == "pending"


def test_rounds_come_in_order_and_once_and_in_time(
    replicas: Replicas, state: Store
) -> None:
    one, other = replicas
    asked = find(one)
    vote(state, asked)

    def round_of(number: int, after: int) -> Approval:
        return find(one, shown=Shown(asked.id, number), after=after)

    assert round_of(2, 0).consent is None
    assert use(one, round_of(1, 10), after=10)
    for number, consents in ((1, False), (2, True), (3, False)):
        assert (round_of(number, 20).consent is not None) == consents
    second = round_of(2, 20)
    assert not use(other, replace(second, round=3), after=20)
    assert use(other, second, after=20)
    assert not use(one, second, after=20)
    third = round_of(3, 30)
    assert not use(one, third, after=20 + CHAIN_SECONDS)
    assert use(one, third, after=19 + CHAIN_SECONDS)


def test_what_is_shown_must_be_of_this_call(replicas: Replicas, state: Store) -> None:
    one, _ = replicas
    asked = find(one)
    vote(state, asked)
    other_call = replace(CALL, binding="c" * 64)
    found = find(one, call=other_call, shown=Shown(asked.id, 1))
    assert (found.found, found.consent) == ("of another call", None)
    unknown = find(one, shown=Shown("0" * 32, 1))
    assert (unknown.found, unknown.consent) == ("of another call", None)
    stolen = replace(find(one), id=asked.id)
    assert not asyncio.run(one.use(stolen, other_call.binding, NOW))


def test_a_client_can_decline_what_waits_and_nothing_else(
    replicas: Replicas, state: Store
) -> None:
    one, _ = replicas
    asked = find(one)
    assert find(one, shown=Shown(asked.id, 1, declined=True)).found == "denied"
    other = replace(CALL, binding="c" * 64)
    approved = find(one, call=other)
    vote(state, approved)
    found = find(one, call=other, shown=Shown(approved.id, 1, declined=True))
    assert found.found == "approved"


def test_an_agent_cannot_ask_without_end(replicas: Replicas) -> None:
    one, _ = replicas
    calls = [replace(CALL, binding=f"{n:064}") for n in range(MAX_PENDING + 1)]
    found = [find(one, call=call).found for call in calls]
    assert found == ["pending"] * MAX_PENDING + ["too many"]


def test_who_has_sent_its_user_to_the_page_waits_for_a_decision(
    replicas: Replicas, state: Store
) -> None:
    """Whoever decides, and wherever."""
    here, _ = replicas
    asked = find(here)

    async def waits() -> None:
        waiting = asyncio.ensure_future(here.wait(asked.id, lambda: NOW))
        done, _ = await asyncio.wait([waiting], timeout=LOOK_SECONDS / 5)
        assert not done
        vote(state, asked)
        await waiting

    asyncio.run(waits())
    assert find(here, shown=Shown(asked.id, 1, opened=True)).found == "approved"


def test_nobody_waits_without_end(replicas: Replicas, state: Store) -> None:
    asked = find(replicas[0])
    impatient = CallApprovals(state, KEY, system_entropy, wait_seconds=0.0)
    asyncio.run(impatient.wait(asked.id, lambda: NOW))
    late = UnixTime(NOW + LIFETIME_SECONDS)
    asyncio.run(replicas[0].wait(asked.id, lambda: late))
    asyncio.run(replicas[0].wait("0" * 32, lambda: NOW))
    replicas[0].stop_waiting()
    asyncio.run(replicas[0].wait(asked.id, lambda: NOW))
    assert find(replicas[0], shown=Shown(asked.id, 1, opened=True)).opened


def test_the_servers_own_state_is_kept_for_later(replicas: Replicas) -> None:
    one, _ = replicas
    assert find(one, inner="state").inner == "state"
    asked = find(one)
    assert find(one, shown=Shown(asked.id, 1, "state"), inner="state").inner == "state"


def test_arguments_lie_sealed_and_go_when_they_are_used(
    replicas: Replicas, state: Store
) -> None:
    one, _ = replicas
    call = replace(CALL, arguments=b'{"why":"canary"}')
    asked = find(one, call=call)
    query = text("SELECT sealed_arguments FROM call_approvals")
    sealed = state.read(lambda conn: conn.execute(query).scalar_one())
    assert b"canary" not in bytes(sealed)
    vote(state, asked)
    assert use(one, find(one))
    assert state.read(lambda conn: conn.execute(query).scalar_one()) is None


def test_when_the_state_cannot_be_read_nothing_is_allowed(
    replicas: Replicas, state: Store
) -> None:
    one, _ = replicas
    approved = find(one)
    vote(state, approved)
    state.run(lambda conn: conn.execute(text("DROP TABLE call_approval_votes")))
    state.run(lambda conn: conn.execute(text("DROP TABLE call_approvals")))
    for attempt in (lambda: find(one), lambda: use(one, approved)):
        with pytest.raises(StateUnconfirmedError) as caught:
            attempt()
        assert "call_approvals" not in str(caught.value)
