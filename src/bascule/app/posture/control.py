"""Controls: what a promise rests on, and whether a probe found it so."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

Promise = Literal["known", "entitled", "approved", "bounded", "traced"]
State = Literal["met", "not_met", "not_assessed"]


class Control(Struct, frozen=True):
    """One thing that a promise rests on."""

    promise: Promise
    id: str
    title: str
    """What is so when it is met."""
    state: State
    probe: str
    """What looked, or what would have to."""
    evidence: tuple[str, ...] = ()
    """Why it is not met, or could not be looked at; a sentence each."""
    fix: str = ""
    """What to do; empty when nothing is to be done."""


class Subject(Struct, frozen=True):
    """What a control says, before anybody has looked."""

    promise: Promise
    id: str
    title: str
    probe: str
    fix: str

    def judged(self, evidence: Iterable[str]) -> Control:
        """Give it as met, unless there is evidence against it."""
        against = tuple(evidence)
        state: State = "not_met" if against else "met"
        fix = self.fix if against else ""
        return Control(self.promise, self.id, self.title, state, self.probe, against, fix)

    def judged_of(self, connectors: Collection[str], evidence: Iterable[str]) -> Control:
        """Give it as met likewise, unless there is nothing that it would be said of."""
        if not connectors:
            return self.unseen("there are no connectors yet")
        return self.judged(evidence)

    def unseen(self, why: str, fix: str = "") -> Control:
        """Give it as not assessed."""
        state: State = "not_assessed"
        return Control(self.promise, self.id, self.title, state, self.probe, (why,), fix)
