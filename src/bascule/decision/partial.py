"""Answering while something is not known: yes, no, or that it depends.

What a call's arguments are, and what its identity has touched, is not known when it is
asked what might be called. Policies that read neither are put to Cedar as they are; of
the others only the parts that do not, see `formulas`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bascule.decision import cedar
from bascule.decision.formulas import ERROR, NO, YES, Formula, outcomes
from bascule.decision.policy import Policy
from bascule.decision.residue import Residue
from bascule.decision.slices import Slice

Ask = Callable[[Slice], cedar.Verdict]
"""Puts the question to some policies."""
Probe = Callable[[cedar.PolicySet], cedar.Applying]
"""Asks which of some permits apply to the question."""

_NOTHING = cedar.Applying(frozenset(), frozenset())


def ask_partially(part: Slice, ask: Ask, probe: Probe) -> cedar.Verdict:
    """Answer one question as far as it is known.

    No when it is no for all arguments and whatever was touched; it depends in every other
    case, also where the answer could only be yes: a call is always put to Cedar in full.
    """
    known = part.without_unknown
    verdict = ask(known) if known.policies else cedar.Verdict(allows=False)
    if verdict.failed or (not verdict.allows and verdict.policies):
        return verdict
    probes = part.unknown.probes
    found = part.unknown.filled(_NOTHING if probes is None else probe(probes))
    forbids = [it for it in found if it[0].effect == "forbid" and not _can_be_lifted(it[0])]
    lifted = [when for policy, when in found if _can_be_lifted(policy)]
    permits = [it for it in found if it[0].effect == "permit"]
    refusal = _refusal(found, forbids)
    if refusal is not None:
        return refusal
    possible = [(policy, when) for policy, when in permits if outcomes(when) & YES]
    if not verdict.allows and not possible:
        return verdict
    residue = Residue(
        permitted=verdict.allows,
        permits=tuple(when for _, when in permits if outcomes(when) != NO),
        forbids=tuple(when for _, when in forbids if outcomes(when) != NO),
        others=tuple(when for when in lifted if outcomes(when) != NO),
        certain=not part.obliging and _is_certain(found, permitted=verdict.allows),
    )
    named = verdict.policies or tuple(sorted(policy.id for policy, _ in possible))
    return cedar.Verdict(allows=False, policies=named, depends=residue)


def _can_be_lifted(policy: Policy) -> bool:
    return policy.effect == "forbid" and policy.approval_rule is not None


def _refusal(
    found: Sequence[tuple[Policy, Formula]], forbids: Sequence[tuple[Policy, Formula]]
) -> cedar.Verdict | None:
    """Refuse for what fails or forbids in every case."""
    failing = [policy.id for policy, when in found if outcomes(when) == ERROR]
    if failing:
        return cedar.Verdict(False, tuple(sorted(failing)), failed=True)
    forbidding = [policy.id for policy, when in forbids if not outcomes(when) & NO]
    if forbidding:
        return cedar.Verdict(False, tuple(sorted(forbidding)))
    return None


def _is_certain(found: Sequence[tuple[Policy, Formula]], *, permitted: bool) -> bool:
    """Tell whether it is yes in every case."""
    comes_to = [(policy.effect, outcomes(when)) for policy, when in found]
    if any(may & ERROR for _, may in comes_to):
        return False
    if any(effect == "forbid" and may != NO for effect, may in comes_to):
        return False
    return permitted or ("permit", YES) in comes_to
