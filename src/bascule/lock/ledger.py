"""What an installation has recorded of a connector's approvals, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bascule.storage.approvals import Recorded

DENIES = frozenset({"reject", "revoke"})
"""Decisions that end approvals."""

State = Literal[
    "approved",
    "no_surface",
    "missing",
    "malformed",
    "wrong_entry",
    "bad_signature",
    "unknown_signer",
    "not_entitled",
    "not_yet_valid",
    "expired",
    "too_few",
    "superseded",
    "rejected",
    "revoked",
]
"""Of an entry. `approved` is the only one that serves."""


class UnfitError(Exception):
    """A statement does not count; says why, for a `Verdict`."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state: State = state
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is recorded of one connector, in the order in which it was."""

    recorded: tuple[Recorded, ...] = ()
    authors: frozenset[tuple[str, str]] = frozenset()
    """Digest of an entry, and who made it on this machine."""

    @property
    def head(self) -> Recorded | None:
        """The highest statement, which the next one must name; of equals what denies."""
        return max(
            self.recorded,
            key=lambda it: (it.sequence, it.decision in DENIES, it.digest),
            default=None,
        )

    @property
    def owner(self) -> str:
        """Who answered for the connector by the entry that was approved last."""
        done = (it.owner for it in reversed(self.recorded) if it.completes)
        return next(done, "")

    def with_one_more(self, fresh: Recorded) -> Ledger:
        """Add a statement at the end."""
        return replace(self, recorded=(*self.recorded, fresh))

    def standing(self, entry_digest: str) -> tuple[Recorded, ...]:
        """Give the approvals of an entry that nothing recorded later has ended."""
        found: list[Recorded] = []
        for it in self.recorded:
            if ends(it, entry_digest):
                found = []
            elif it.entry_digest == entry_digest and it.decision not in DENIES:
                found.append(it)
        return tuple(found)

    def ended_by(self, entry_digest: str) -> Recorded | None:
        """Give what ended the approvals of an entry last, or would have."""
        ends_it = (it for it in reversed(self.recorded) if ends(it, entry_digest))
        return next(ends_it, None)


def ends(it: Recorded, entry_digest: str) -> bool:
    """Tell whether a statement ends all earlier approvals of an entry."""
    if it.decision == "revoke":
        return True
    if it.decision == "reject":
        return it.entry_digest == entry_digest
    return it.completes and it.entry_digest != entry_digest
