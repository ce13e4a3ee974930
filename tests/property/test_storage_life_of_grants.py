"""Codes, rotation, retries, reuse, revocation, disabling, in any order, against a model.

The model says which token of which family is the newest and whether the family has ended.
The database knows only rows. At each step both must say the same.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
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
from bascule.storage import grants, revocations, users
from bascule.storage.codes import LIFETIME_SECONDS, Reused
from bascule.storage.grants import Grant
from bascule.storage.refresh_tokens import GRACE_SECONDS, IDLE_SECONDS, Retried, Rotated
from oauth_state import NOW, WEEK, add_grant, add_refresh_token, new_store, redeem, rotate


@dataclass
class Token:
    """What the model knows of a refresh token."""

    name: bytes
    expires: int
    used: int | None = None
    successor: Token | None = None


@dataclass
class Family:
    """What the model knows of a grant."""

    grant: Grant
    begun: int
    redeemed: bool = False
    ended: bool = False
    told: bool = False
    """A row of the database says that it was ended, not only a revocation."""
    tokens: list[Token] = field(default_factory=list)


class LifeOfGrants(RuleBasedStateMachine):
    """Runs the database beside the model."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = new_store(self.folder)
        self.now = int(NOW)
        self.families: list[Family] = []
        self.disabled = False
        self.names = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def _fresh(self) -> bytes:
        self.names += 1
        return b"token %d" % self.names

    def _live(self, family: Family) -> bool:
        return not (family.ended or self.disabled or self.now >= family.begun + WEEK)

    @precondition(lambda self: not self.disabled)
    @rule()
    def consent(self) -> None:
        grant = add_grant(self.store, f"g-{len(self.families)}", now=self.now)
        self.families.append(Family(grant, self.now))

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def redeem_code(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        found = redeem(self.store, family.grant.id, now=UnixTime(self.now))
        if family.redeemed:
            kept = self.now < family.begun + WEEK  # afterwards a new grant sweeps it away
            assert (found == Reused(family.grant.id)) is not family.told or not kept
            family.ended = family.told = True
        elif self.now >= family.begun + LIFETIME_SECONDS:
            assert found is None
        else:
            assert (found == family.grant) is self._live(family)
            family.redeemed = True
            if found is not None:
                token = Token(self._fresh(), self._expiry(family))
                add_refresh_token(self.store, family.grant, token.name, now=self.now)
                family.tokens.append(token)

    def _expiry(self, family: Family) -> int:
        return min(self.now + IDLE_SECONDS, family.begun + WEEK)

    @precondition(lambda self: any(it.tokens for it in self.families))
    @rule(data=st.data())
    def refresh(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from([it for it in self.families if it.tokens]))
        token = data.draw(st.sampled_from(family.tokens))
        successor = Token(self._fresh(), self._expiry(family))
        found = rotate(self.store, token.name, successor.name, now=self.now)
        if token.used is None:
            if self.now >= token.expires:
                assert found is None
                return
            assert (found == Rotated(family.grant)) is self._live(family)
            token.used = self.now
            if found is not None:
                token.successor = successor
                family.tokens.append(successor)
            return
        if not self._live(family):
            assert found is None
            return
        assert token.successor is not None
        in_time = self.now <= token.used + GRACE_SECONDS
        if in_time and token.successor.used is None:
            assert found == Retried(family.grant, b"sealed " + token.successor.name)
        else:
            assert found == Reused(family.grant.id)
            family.ended = family.told = True

    @precondition(lambda self: any(it.tokens for it in self.families))
    @rule(data=st.data())
    def refresh_as_another_client(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from([it for it in self.families if it.tokens]))
        token = data.draw(st.sampled_from(family.tokens))
        stranger = partial(rotate, self.store, token.name, self._fresh(), now=self.now)
        assert stranger(client_id="other") is None

    @rule(kind=st.sampled_from(["all", "user", "agent", "connector"]))
    def revoke(self, kind: Kind) -> None:
        keys = {"all": "", "user": "user:alice", "agent": "app", "connector": "desk"}
        work = partial(revocations.revoke, kind=kind, key=keys[kind], reason="r")
        self.store.run(partial(work, now=UnixTime(self.now)))
        for family in self.families:
            family.ended = True

    @precondition(lambda self: self.families)
    @rule(data=st.data())
    def revoke_one(self, data: st.DataObject) -> None:
        family = data.draw(st.sampled_from(self.families))
        work = partial(grants.end, grant_id=family.grant.id, reason="r")
        self.store.run(partial(work, now=UnixTime(self.now)))
        family.ended = family.told = True

    @rule()
    def disable(self) -> None:
        self.store.run(partial(users.disable, name="alice", now=UnixTime(self.now)))
        self.disabled = True
        for family in self.families:
            family.ended = True

    @rule()
    def enable(self) -> None:
        self.store.run(partial(users.enable, name="alice"))
        self.disabled = False

    @rule(seconds=st.sampled_from([1, 20, 31, 61, IDLE_SECONDS - 1, IDLE_SECONDS, 86400]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def a_grant_is_live_exactly_when_nothing_has_ended_it(self) -> None:
        for family in getattr(self, "families", ()):
            ask = partial(grants.live, grant_id=family.grant.id, now=UnixTime(self.now))
            assert (self.store.read(ask) == family.grant) is self._live(family)


LifeOfGrants.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLifeOfGrants = LifeOfGrants.TestCase
