"""Asking, deciding, ending, revoking, disabling, in any order and at any time: a model.

Whatever happens, and whatever the clock says, what is in force was granted, has time left,
and was never ended.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from bascule.clock import UnixTime
from bascule.identity.revocation import Kind
from bascule.storage import access_grants, access_requests, revocations, users
from bascule.storage.access_requests import REQUEST_SECONDS, Wanted
from oauth_state import NOW, new_store

HOUR = 3600
DAY = 24 * HOUR
USERS = ("alice", "bob")
AGENTS = (None, "app", "other")


@dataclass
class Known:
    """What the model knows of a grant."""

    wanted: Wanted
    over: int
    """When it, or the request, is over."""
    granted: bool = False
    ended: bool = False


class LifeOfAccessGrants(RuleBasedStateMachine):
    """Runs the database beside the model."""

    grants = Bundle("grants")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = new_store(self.folder)
        self.now = int(NOW)
        self.known: dict[str, Known] = {}
        self.disabled: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(seconds=st.integers(-DAY, 2 * DAY))
    def time_passes_or_is_set_back(self, seconds: int) -> None:
        self.now = max(int(NOW), self.now + seconds)

    @rule(
        target=grants,
        user=st.sampled_from(USERS),
        agent=st.sampled_from(AGENTS),
        seconds=st.integers(1, 3 * DAY),
    )
    def ask(self, user: str, agent: str | None, seconds: int) -> str:
        wanted = Wanted(f"user:{user}", agent, "desk", ("desk/x",), seconds, "x")
        name = f"g-{len(self.known)}"
        ask = partial(access_requests.ask, grant_id=name, wanted=wanted, by="ops")
        found = self.store.run(partial(ask, now=UnixTime(self.now)))
        assert (found is None) == (user in self.disabled)
        ended = found is None
        self.known[name] = Known(wanted, self.now + REQUEST_SECONDS, ended=ended)
        return name

    @rule(name=grants, deny=st.booleans(), shorter=st.none() | st.integers(1, DAY))
    def decide(self, name: str, deny: bool, shorter: int | None) -> None:
        it = self.known[name]
        user = (it.wanted.user or "").removeprefix("user:")
        open_ = not (it.granted or it.ended or it.over <= self.now)
        may = open_ and (deny or user not in self.disabled)
        work = partial(
            access_requests.decide,
            grant_id=name,
            decision="deny" if deny else "grant",
            seconds=shorter,
            by="boss",
            reason="x",
            now=UnixTime(self.now),
        )
        assert (self.store.run(work) is not None) == may
        if may and deny:
            it.ended = True
        elif may:
            it.granted = True
            length = it.wanted.seconds if shorter is None else shorter
            it.over = self.now + min(length, it.wanted.seconds)

    @rule(name=grants)
    def end(self, name: str) -> None:
        it = self.known[name]
        work = partial(access_grants.end, grant_id=name, reason="x")
        ended = self.store.run(partial(work, now=UnixTime(self.now)))
        assert ended == (not it.ended and it.over > self.now)
        it.ended = it.ended or ended

    @rule(
        kind=st.sampled_from(["user", "agent", "connector", "all"]),
        which=st.integers(0, 1),
    )
    def revoke(self, kind: Kind, which: int) -> None:
        keys = {
            "user": f"user:{USERS[which]}",
            "agent": ("app", "other")[which],
            "connector": ("desk", "shop")[which],
            "all": "",
        }
        work = partial(revocations.revoke, kind=kind, key=keys[kind], reason="x")
        self.store.run(partial(work, now=UnixTime(self.now)))
        for it in self.known.values():
            named = {
                "user": it.wanted.user,
                "agent": it.wanted.agent,
                "connector": it.wanted.connector,
                "all": "",
            }
            it.ended = it.ended or named[kind] == keys[kind]

    @rule(user=st.sampled_from(USERS))
    def disable(self, user: str) -> None:
        self.store.run(partial(users.disable, name=user, now=UnixTime(self.now)))
        self.disabled.add(user)
        for it in self.known.values():
            it.ended = it.ended or it.wanted.user == f"user:{user}"

    @rule(user=st.sampled_from(USERS))
    def enable(self, user: str) -> None:
        self.store.run(partial(users.enable, name=user))
        self.disabled.discard(user)

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "store"):
            return
        now = UnixTime(self.now)
        found = self.store.read(partial(access_grants.in_force, now=now))
        expected = {
            name
            for name, it in self.known.items()
            if it.granted and not it.ended and it.over > self.now
        }
        assert {it.id for it in found} == expected
        shown = self.store.read(access_grants.every)
        assert {it.id for it in shown if it.state(now) == "active"} == expected


TestLifeOfAccessGrants = LifeOfAccessGrants.TestCase
TestLifeOfAccessGrants.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
