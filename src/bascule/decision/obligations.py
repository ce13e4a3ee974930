"""Obligations: what a policy demands beside, before it lets a call through.

`@obligation("approve:RULE")` on a `forbid`: it forbids unless somebody has approved the
call. On a `permit`: it permits only then. Everything else is decided as if the approval
were there; so who has no right learns nothing, and nobody is asked in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from bascule.decision.cedar import Verdict
from bascule.decision.entries import TargetKind
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.decision.slices import Slice


def lift(part: Slice, verdict: Verdict, ask: Callable[[Slice], Verdict]) -> Verdict:
    """Give the answer for when obligations are met, and which these are.

    `verdict`: of the whole part. Of several permits that each demand something one is
    enough; it is the same one each time.
    """
    rules = part.obliging
    lifted: tuple[str, ...] = ()
    if not verdict.allows:
        if (
            verdict.failed
            or not verdict.policies
            or not rules.keys() >= set(verdict.policies)
        ):
            return verdict
        lifted = verdict.policies
        verdict = ask(part.without_obliging_forbids)
        if not verdict.allows:
            return verdict
    obliges = {(rules[name], name) for name in lifted}
    if rules.keys() >= set(verdict.policies):
        obliges.add(_easiest({(rules[name], name) for name in verdict.policies}, obliges))
    return replace(verdict, obliges=tuple(sorted(obliges)))


def _easiest(
    permits: Iterable[tuple[str, str]], demanded: Iterable[tuple[str, str]]
) -> tuple[str, str]:
    """Choose the permit that demands nothing new, if there is one."""
    known = {rule for rule, _ in demanded}
    return min(permits, key=lambda it: (it[0] not in known, it))


def oblige(
    decision: Decision, obliges: set[tuple[str, str]], kind: TargetKind, *, is_call: bool
) -> Decision:
    """Add obligations to what would be allowed; only calls of tools can meet them.

    `is_call`: it is one call that is asked for, not what might be called.
    """
    if isinstance(decision, Denied) or not obliges:
        return decision
    if kind != "tool":
        return Denied(Reason.POLICY_FORBIDS, tuple(sorted(name for _, name in obliges)))
    if isinstance(decision, Allowed) and not is_call:
        return Maybe(decision.policies, proved=True)
    if isinstance(decision, Allowed):
        return replace(decision, obligations=tuple(sorted(obliges)))
    return decision
