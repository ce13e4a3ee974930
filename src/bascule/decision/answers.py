"""From the answers to the questions of a decision to the decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from bascule.decision import cedar
from bascule.decision.callers import Question
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.decision.flows import CLOSED, FLOW
from bascule.decision.slices import Slice


class Answer(NamedTuple):
    """The answer to one question of the conjunction."""

    question: Question
    part: Slice | None
    """The policies that it was put to; None where none could bear on it."""
    verdict: cedar.Verdict


def conclude(answers: Sequence[Answer], scopes: Iterable[str]) -> Decision:
    """Rank what was found: an error, then a `forbid`, then the first missing permit.

    `scopes`: those that would permit, for who lacks nothing else.
    """
    verdicts = [it.verdict for it in answers]
    failed = [verdict for verdict in verdicts if verdict.failed]
    if failed:
        return Denied(Reason.POLICY_ERROR, _ids(failed))
    refused = [it for it in verdicts if not it.allows and not it.depends]
    if forbids := _ids(refused):
        if all(name.startswith(FLOW) for name in forbids):
            return Denied(Reason.FLOW_CLOSED, forbids, detail=CLOSED)
        return Denied(Reason.POLICY_FORBIDS, forbids)
    for n, (question, _, verdict) in enumerate(answers):
        if not verdict.allows and not verdict.depends:
            unsettled = any(it.verdict.depends for it in answers[:n])
            return missing(question, scopes, unsettled=unsettled)
    if any(verdict.depends for verdict in verdicts):
        return Maybe(_ids(verdicts))
    return Allowed(_ids(verdicts))


def both(first: Decision, hop: Decision) -> Decision:
    """Join what is decided of an agent and of one through which it acts.

    Who lacks a scope alone is told so only where every hop lacks nothing else.
    """
    scope = Reason.INSUFFICIENT_SCOPE, Reason.BEYOND_DETAILS
    if isinstance(first, Denied) and first.reason not in scope:
        return first
    if isinstance(hop, Denied) and hop.reason not in scope:
        return hop
    for it in (first, hop):
        if isinstance(it, Denied):
            return it
    policies = tuple(sorted({*first.policies, *hop.policies}))
    if isinstance(first, Allowed) and isinstance(hop, Allowed):
        obligations = tuple(sorted({*first.obligations, *hop.obligations}))
        return replace(first, policies=policies, obligations=obligations)
    return Maybe(policies)


def missing(
    question: Question, scopes: Iterable[str], *, unsettled: bool = False
) -> Denied:
    """Refuse for want of a permit."""
    if question.missing is Reason.INSUFFICIENT_SCOPE:
        of_use = tuple(sorted(set(scopes)))
        return Denied(question.missing, scopes=of_use, unsettled=unsettled)
    return Denied(question.missing)


def _ids(verdicts: Iterable[cedar.Verdict]) -> tuple[str, ...]:
    return tuple(sorted({name for verdict in verdicts for name in verdict.policies}))
