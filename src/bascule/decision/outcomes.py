"""What decisions come to, in one word: for comparing them."""

from __future__ import annotations

from typing import Literal

from bascule.decision.facts import Allowed, Denied, Maybe, Reason

Word = Literal["allow", "approve", "deny", "maybe"]


def outcome_of(decision: Allowed | Denied | Maybe) -> Word:
    """Give one word; `approve` where only the consent of a person is missing."""
    match decision:
        case Allowed():
            return "allow"
        case Maybe():
            return "maybe"
        case Denied(reason=Reason.APPROVAL_REQUIRED):
            return "approve"
        case Denied():
            return "deny"
