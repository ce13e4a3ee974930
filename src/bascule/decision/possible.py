"""Whether a call is possible of which only the arguments are not known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bascule.decision.answers import Answer, missing
from bascule.decision.argument_reads import Wanted
from bascule.decision.argument_rules import Plan
from bascule.decision.argument_schema import schema_of
from bascule.decision.candidates import Candidate
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.decision.gate import ToolPin
from bascule.decision.model import Target
from bascule.decision.proofs import Shown, Subject
from bascule.decision.snapshot import Snapshot

Allows = Callable[[Target, Sequence[Answer], str | None, Candidate], bool]
"""Puts questions again with these arguments, of the definition with this digest."""

_NO_PLAN = Plan((), Wanted(), (), ())
_NOTHING_PINNED: Mapping[str | None, ToolPin | None] = {None: None}


def look_into(
    maybe: Maybe,
    target: Target,
    answers: Sequence[Answer],
    scopes: Collection[str],
    snapshot: Snapshot,
    allows: Allows,
) -> Decision:
    """Deny where no arguments would make it allowed, and tell whether some were found."""
    pins = _pins(target, snapshot)
    plans = [_plan(target, pin, snapshot) for pin in pins.values()]
    if all(plan.unfit for plan in plans):
        return Denied(Reason.POLICY_ERROR, plans[0].unfit)
    if any(plan.unfit for plan in plans):
        return maybe
    if all(it.verdict.depends is None or it.verdict.depends.certain for it in answers):
        return replace(maybe, proved=True, always=True)
    found = {
        _shown(target, answers, definition, pin, snapshot, allows)
        for definition, pin in pins.items()
    }
    if any(it.proof != "refuted" for it in found):
        return replace(maybe, proved=all(it.proof == "proved" for it in found))
    return _refusal(answers, next(iter(found)), scopes)


def foretold(decision: Decision) -> Decision:
    """Give what can be told before arguments are known: yes where it is yes for all.

    A call is put to Cedar with its arguments all the same.
    """
    if isinstance(decision, Maybe) and decision.always:
        return Allowed(decision.policies)
    return decision


def _pins(target: Target, snapshot: Snapshot) -> Mapping[str | None, ToolPin | None]:
    """Give the definitions that were approved under a name."""
    gate = snapshot.gates.get(target.connector)
    if gate is None or target.kind != "tool":
        return _NOTHING_PINNED
    pins: dict[str | None, ToolPin | None] = {}
    pins.update(gate.tools.get(target.name, {}).items())
    return pins or _NOTHING_PINNED


def _shown(
    target: Target,
    answers: Sequence[Answer],
    definition: str | None,
    pin: ToolPin | None,
    snapshot: Snapshot,
    allows: Allows,
) -> Shown:
    gate = snapshot.gates.get(target.connector)
    subject = Subject(
        kind=target.kind,
        connector=target.connector,
        residues=tuple(it.verdict.depends for it in answers),
        schema=None if pin is None or schema_of(pin.schema).problem else pin.schema,
        forms=_plan(target, pin, snapshot).forms,
        is_binding=gate is not None and gate.enforces,
    )
    unsettled = [it for it in answers if it.verdict.depends is not None]
    return snapshot.proofs.of(subject, lambda it: allows(target, unsettled, definition, it))


def _plan(target: Target, pin: ToolPin | None, snapshot: Snapshot) -> Plan:
    if target.kind != "tool":
        return _NO_PLAN
    schema = None if pin is None else schema_of(pin.schema)
    return snapshot.arguments.plan(target, schema)


def _refusal(answers: Sequence[Answer], shown: Shown, scopes: Collection[str]) -> Denied:
    question, part, _ = answers[shown.to_blame]
    before = answers[: shown.to_blame]
    if shown.forbidden and part is not None:
        forbids = (it.id for it in part.unknown.policies if it.effect == "forbid")
        return Denied(Reason.POLICY_FORBIDS, tuple(sorted(forbids)))
    unsettled = any(it.verdict.depends is not None for it in before)
    return missing(question, scopes, unsettled=unsettled)
