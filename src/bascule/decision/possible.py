"""Whether a call is possible of which only the arguments are not known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from bascule.decision.answers import Answer, missing
from bascule.decision.argument_schema import schema_of
from bascule.decision.candidates import Candidate
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.decision.gate import ToolPin
from bascule.decision.model import Target
from bascule.decision.proofs import Shown, Subject
from bascule.decision.snapshot import Snapshot

Allows = Callable[[Target, str | None, Candidate], bool]
"""Decides a call with these arguments, of the definition with this digest."""

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
    unfit = [_unfit(target, pin, snapshot) for pin in pins.values()]
    if all(unfit):
        return Denied(Reason.POLICY_ERROR, tuple(sorted(set().union(*unfit))))
    if any(unfit):
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


def _unfit(target: Target, pin: ToolPin | None, snapshot: Snapshot) -> tuple[str, ...]:
    """Name the `forbid`s that cannot decide on calls of a definition."""
    if pin is None:
        return ()
    return snapshot.arguments.plan(target, schema_of(pin.schema)).unfit


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
        schema=None if pin is None else pin.schema,
        is_binding=gate is not None and gate.enforces,
    )
    return snapshot.proofs.of(subject, lambda it: allows(target, definition, it))


def _refusal(answers: Sequence[Answer], shown: Shown, scopes: Collection[str]) -> Denied:
    question, part, _ = answers[shown.to_blame]
    before = answers[: shown.to_blame]
    if shown.forbidden and part is not None:
        forbids = (it.id for it in part.unknown.policies if it.effect == "forbid")
        return Denied(Reason.POLICY_FORBIDS, tuple(sorted(forbids)))
    unsettled = any(it.verdict.depends is not None for it in before)
    return missing(question, scopes, unsettled=unsettled)
