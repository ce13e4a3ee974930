"""What is left to be decided when a call is made."""

from __future__ import annotations

from msgspec import Struct

from bascule.decision.formulas import Formula, reads_more


class Residue(Struct, frozen=True, cache_hash=True):
    """What must still come to be of one question; equal ones are answered alike."""

    permitted: bool
    """A policy that reads nothing unknown permits."""
    permits: tuple[Formula, ...]
    """One of them must hold, unless it is permitted."""
    forbids: tuple[Formula, ...]
    """None of them may."""
    others: tuple[Formula, ...]
    """These must only not fail: a consent lifts what they forbid."""
    certain: bool
    """It comes to yes in every case."""

    @property
    def reads_more(self) -> bool:
        """Whether who asks, for what and when counts too; then equal ones may differ."""
        return any(map(reads_more, (*self.permits, *self.forbids, *self.others)))
