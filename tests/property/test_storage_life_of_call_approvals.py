"""Questions, votes, uses, revocations and time, in any order, against a model.

The model keeps what people said and when; the database knows only rows. At each step both
must say the same, and no call is ever made that two people who still may have not approved.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import call_approvals, revocations, users
from bascule.storage.call_approvals import CHAIN_SECONDS, LIFETIME_SECONDS
from bascule.storage.call_votes import Decision
from calls_asked import CALL, add_user
from oauth_state import NOW, new_store

CALLS = ("a", "b")
"""Two calls of the same agent that differ in their arguments."""
APPROVERS = ("user:bob", "user:carol", "os:root (uid 0)")
QUORUM = 2


@dataclass
class Asked:
    """What the model knows of one question."""

    id: str
    call: str
    expires: int
    state: str = "pending"
    revoked: bool = False
    round: int = 0
    votes: dict[str, Decision] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Who was revoked or disabled after they spoke."""


class LifeOfCallApprovals(RuleBasedStateMachine):
    """Runs the database beside the model."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = new_store(self.folder)
        self.now = int(NOW)
        self.asked: list[Asked] = []
        self.disabled: set[str] = set()
        for name in ("bob", "carol"):
            add = partial(add_user, name=name, now=UnixTime(self.now))
            self.store.run(add)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(call=st.sampled_from(CALLS))
    def ask(self, call: str) -> None:
        request = replace(CALL, binding=call)
        name = f"{len(self.asked):032x}"
        work = partial(
            call_approvals.ask,
            request=request,
            approval_id=name,
            sealed_arguments=b"sealed",
            now=UnixTime(self.now),
        )
        found = self.store.run(work)
        assert found is not None
        known = self._met_by(call)
        if known is None:
            known = Asked(name, call, self.now + LIFETIME_SECONDS)
            self.asked.append(known)
        assert found.id == known.id

    def _void(self, it: Asked) -> set[str]:
        """Give those whose word counts no more."""
        return it.lost | (it.votes.keys() & self.disabled)

    def _seen(self, it: Asked) -> str:
        """Give the state as anybody is told it."""
        if it.state not in {"pending", "approved"}:
            return it.state
        over = self.now >= it.expires or it.revoked
        return (
            "expired" if over or (it.state == "approved" and self._void(it)) else it.state
        )

    def _met_by(self, call: str) -> Asked | None:
        """Give what an equal call meets."""
        for it in reversed(self.asked):
            holds = self._seen(it) in {"pending", "approved", "denied"}
            if it.call == call and self.now < it.expires and holds:
                return it
        return None

    @precondition(lambda self: self.asked)
    @rule(first=st.sampled_from(APPROVERS), second=st.sampled_from(APPROVERS))
    def agree_on_the_newest(self, first: str, second: str) -> None:
        """Of all ways the one that leads to a call is taken more often than by chance."""
        for approver in (first, second):
            self._vote(self.asked[-1], approver, "approve")

    @precondition(lambda self: self.asked)
    @rule(
        data=st.data(),
        approver=st.sampled_from(APPROVERS),
        decision=st.sampled_from(["approve", "deny"]),
    )
    def vote(self, data: st.DataObject, approver: str, decision: Decision) -> None:
        self._vote(data.draw(st.sampled_from(self.asked)), approver, decision)

    def _vote(self, it: Asked, approver: str, decision: Decision) -> None:
        work = partial(
            call_approvals.vote,
            approval_id=it.id,
            approver=approver,
            decision=decision,
            rules=frozenset(CALL.rules),
            quorums=dict.fromkeys(CALL.rules, QUORUM),
            now=UnixTime(self.now),
        )
        counts = self._seen(it) == "pending" and approver not in it.votes
        assert (self.store.run(work) is not None) is counts
        if not counts:
            return
        it.votes[approver] = decision
        if decision == "deny":
            it.state, it.expires = "denied", self.now + LIFETIME_SECONDS
        elif len(it.votes.keys() - self._void(it)) >= QUORUM:
            it.state, it.expires = "approved", self.now + LIFETIME_SECONDS

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), call=st.sampled_from(CALLS), round=st.integers(1, 3))
    def use(self, data: st.DataObject, call: str, round: int) -> None:
        it = data.draw(st.sampled_from(self.asked))
        work = partial(
            call_approvals.use,
            approval_id=it.id,
            binding=call,
            round=round,
            now=UnixTime(self.now),
        )
        due = it.state == ("approved" if round == 1 else "used") and round == it.round + 1
        good = (
            it.call == call and self.now < it.expires and not (it.revoked or self._void(it))
        )
        assert self.store.run(work) is (due and good)
        if due and good:
            said = [who for who, word in it.votes.items() if word == "approve"]
            assert len(said) >= QUORUM
            assert not self.disabled.intersection(said)
            it.state, it.round, it.expires = "used", round, self.now + CHAIN_SECONDS

    @rule(kind=st.sampled_from(["all", "user", "agent", "connector"]))
    def revoke(self, kind: Kind) -> None:
        keys = {
            "all": "",
            "user": CALL.user,
            "agent": CALL.agent,
            "connector": CALL.connector,
        }
        work = partial(revocations.revoke, kind=kind, key=keys[kind], reason="r")
        self.store.run(partial(work, now=UnixTime(self.now)))
        for it in self.asked:
            it.revoked = True

    @rule(name=st.sampled_from(["bob", "carol"]))
    def disable_an_approver(self, name: str) -> None:
        self.store.run(partial(users.disable, name=name, now=UnixTime(self.now)))
        self.disabled.add(f"user:{name}")
        self._lose(f"user:{name}")

    @rule(name=st.sampled_from(["bob", "carol"]))
    def enable_an_approver(self, name: str) -> None:
        self.store.run(partial(users.enable, name=name))
        self.disabled.discard(f"user:{name}")

    @rule(name=st.sampled_from(["bob", "carol"]))
    def revoke_an_approver(self, name: str) -> None:
        work = partial(revocations.revoke, kind="user", key=f"user:{name}", reason="r")
        self.store.run(partial(work, now=UnixTime(self.now)))
        self._lose(f"user:{name}")

    def _lose(self, approver: str) -> None:
        for it in self.asked:
            if approver in it.votes:
                it.lost.add(approver)

    @rule(seconds=st.sampled_from([1, 60, LIFETIME_SECONDS - 1, CHAIN_SECONDS]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def end_overdue(self) -> None:
        due = {
            it.id
            for it in self.asked
            if it.state in {"pending", "approved"} and self.now >= it.expires
        }
        work = partial(call_approvals.end_overdue, now=UnixTime(self.now))
        assert {it.id for it in self.store.run(work)} == due
        for it in self.asked:
            if it.id in due:
                it.state = "expired"

    @invariant()
    def all_are_as_the_model_has_them(self) -> None:
        for it in getattr(self, "asked", ()):
            find = partial(call_approvals.find, approval_id=it.id, now=UnixTime(self.now))
            found = self.store.read(find)
            if found is None:  # forgotten, a day after its end
                assert self.now >= it.expires + call_approvals.KEPT_SECONDS
                continue
            assert (found.state, found.round) == (self._seen(it), it.round)
            kept = it.state in {"pending", "approved"}
            assert (found.sealed_arguments is not None) is kept


LifeOfCallApprovals.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLifeOfCallApprovals = LifeOfCallApprovals.TestCase
