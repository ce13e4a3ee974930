"""Rights that are tried out: decided beside those in force, counted, never followed."""

from __future__ import annotations

from collections import Counter

from msgspec import UNSET, UnsetType

from bascule.audit.record import ShadowPart
from bascule.decision.decide import decide
from bascule.decision.facts import Allowed, CallFacts, Denied, Maybe, Reason, Settled
from bascule.decision.outcomes import outcome_of
from bascule.decision.snapshot import Snapshot


def shadowed(
    counted: Counter[tuple[str, str]],
    facts: CallFacts,
    decision: Settled,
    snapshot: Snapshot,
) -> ShadowPart | UnsetType:
    """Decide by the rights that are tried out; say so where it comes out otherwise.

    `decision` is the one in force; nothing is raised. Requests without a target, and calls
    that a rate ended, are left out.
    """
    tried = snapshot.shadow
    if tried is None or facts.kind == "none" or decision.reason is Reason.LIMIT_REACHED:
        return UNSET
    found = _decided(facts, tried)
    live, word = outcome_of(decision), outcome_of(found)
    if word == "approve" and isinstance(decision, Allowed) and decision.obligations:
        word = live  # a consent is there, and would be for what is tried out
    counted[live, word] += 1
    if live == word:
        return UNSET
    return ShadowPart(
        decision=word,
        policies=found.policies,
        policy_digest=tried.digest,
        reason=found.reason.value,
    )


def _decided(facts: CallFacts, tried: Snapshot) -> Settled:
    try:
        found = decide(facts, tried)
    except Exception:  # noqa: BLE001 — what goes wrong here is no matter of the call
        return Denied(Reason.POLICY_ERROR)
    return Denied(Reason.POLICY_ERROR) if isinstance(found, Maybe) else found
