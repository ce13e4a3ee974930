"""Why a decision came out as it did: who was asked what, what decided, what was missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace as replaced
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bascule.config.model import Config
from bascule.decision.answers import Answer
from bascule.decision.arguments import check_arguments
from bascule.decision.candidates import Candidate
from bascule.decision.decide import KINDS, decide
from bascule.decision.evaluation import Evaluation, Given
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied, Maybe, Reason
from bascule.decision.model import Target
from bascule.decision.near import Nearly, applying, facts_of, nearly
from bascule.decision.possible import look_into
from bascule.decision.proofs import Proofs
from bascule.decision.snapshot import Snapshot
from bascule.decision.words import ARGUMENTS_UNKNOWN, SENTENCES

AnswerWord = Literal["yes", "no", "forbidden", "depends", "with_approval", "failed"]


class Asked(Struct, frozen=True):
    """One question of the conjunction, and its answer."""

    who: str
    """`user:alice`, `agent desk`, `agent job by itself`, `token`."""
    answer: AnswerWord
    policies: tuple[str, ...]
    """That decided."""
    nearly: tuple[Nearly, ...]
    """That would have decided otherwise, or nearly did."""


class Explanation(Struct, frozen=True):
    """A decision, taken apart."""

    decision: Decision
    summary: str
    """The reason, in words."""
    asked: tuple[Asked, ...]
    """None where no policy is asked."""
    missing: tuple[str, ...]
    """What would have to be different, in words."""


def explain(
    facts: CallFacts, snapshot: Snapshot, config: Config, *, values: bool = True
) -> Explanation:
    """Decide, and say why. `config` is the one that the snapshot was made of.

    Without `values` the arguments count, and what they are is not told.
    """
    decision = decide(facts, snapshot)
    asked = tuple(_asked(facts, snapshot, config, values=values))
    return Explanation(
        decision,
        SENTENCES[reason_of(decision)],
        asked,
        tuple(_missing(facts, decision, snapshot, values=values)),
    )


def reason_of(decision: Decision) -> str:
    """Give the reason as commands print it."""
    return ARGUMENTS_UNKNOWN if isinstance(decision, Maybe) else decision.reason.value


def answers_of(facts: CallFacts, snapshot: Snapshot) -> list[Answer]:
    """Put every question that a decision rests on; none where no policy is asked.

    Arguments that are not valid are taken as not known.
    """
    if facts.connector not in snapshot.connectors or facts.kind == "none":
        return []
    if facts.kind not in KINDS.get(facts.method, frozenset()):
        return []
    try:
        return _evaluation(facts, snapshot).answers(facts.kind, facts.name)
    except ValueError:  # names that are not well-formed; `decide` denies
        return []


def _evaluation(facts: CallFacts, snapshot: Snapshot) -> Evaluation:
    given = None
    if facts.arguments is not None:
        checked = check_arguments(facts, facts.arguments, snapshot)
        if not isinstance(checked, Denied):
            given = Given(checked.cedar, facts.touched, checked.canonical)
    return Evaluation(
        facts.principal, facts.connector, facts.method, facts.now, snapshot, given=given
    )


def _asked(
    facts: CallFacts, snapshot: Snapshot, config: Config, *, values: bool
) -> Iterator[Asked]:
    answers = answers_of(facts, snapshot)
    if not answers or facts.kind == "none":
        return
    evaluation = _evaluation(facts, snapshot)
    target = snapshot.target(facts.connector, facts.kind, facts.name)
    for answer in answers:
        verdict = answer.verdict
        decisive = (*verdict.policies, *(name for _, name in verdict.obliges))
        near = nearly(
            answer.question,
            target,
            snapshot.policies.by_id.values(),
            decisive,
            evaluation,
            facts_of(facts, target, values=values),
            config,
        )
        # A permit that nearly counts is of interest only where one is missing.
        told = (it for it in near if it.effect == "forbid" or not verdict.allows)
        yield Asked(_who(facts, answer), _word(answer), decisive, tuple(told))


def _who(facts: CallFacts, answer: Answer) -> str:
    question = answer.question
    if question.missing is Reason.NO_USER_RIGHT:
        return facts.principal.user or ""
    if question.missing is Reason.INSUFFICIENT_SCOPE:
        return "token"
    alone = " by itself" if question.alone else ""
    return f"agent {facts.principal.agent}{alone}"


def _word(answer: Answer) -> AnswerWord:
    verdict = answer.verdict
    if verdict.failed:
        return "failed"
    if verdict.depends:
        return "depends"
    if verdict.allows:
        return "with_approval" if verdict.obliges else "yes"
    return "forbidden" if verdict.policies else "no"


def _missing(
    facts: CallFacts, decision: Decision, snapshot: Snapshot, *, values: bool
) -> Iterator[str]:
    """Say what would change a denial, or settle what depends."""
    principal, use = facts.principal, f"{facts.connector}/{facts.name}"
    match decision:
        case Denied(reason=Reason.POLICY_FORBIDS, policies=forbids):
            yield from _applying(facts, forbids, snapshot, values=values)
        case Denied(reason=Reason.NO_USER_RIGHT):
            yield f"`{principal.user}` needs a role that covers `{use}`"
            if not principal.groups:
                yield "the facts name no groups: if the user has some, say which"
        case Denied(reason=Reason.NO_AGENT_RIGHT):
            yield (
                f"`agent:{principal.agent}` needs to be a member of a role that covers "
                f"`{use}`, or there must be a user"
            )
        case Denied(reason=Reason.ABOVE_CEILING):
            yield f"the ceiling of `{principal.agent}` needs an entry that covers `{use}`"
        case Denied(reason=Reason.INSUFFICIENT_SCOPE, scopes=scopes):
            told = ", ".join(f"`{it}`" for it in scopes) or "that covers it; there is none"
            yield f"the token needs a scope: {told}"
        case Denied(reason=Reason.BEYOND_DETAILS):
            yield "the token needs authorization details that cover the call, or none"
        case Denied(reason=Reason.APPROVAL_REQUIRED, call=call) if call is not None:
            rules = ", ".join(f"`{it}`" for it in call.rules)
            yield f"an approval of just this call, by the rules {rules}"
        case Denied(detail=detail) if detail:
            yield detail
        case Maybe():
            yield from _settling(facts, snapshot)
        case _:
            pass
    if not isinstance(decision, Denied) and decision.finding is not None:
        yield f"what `enforce` would deny for: {SENTENCES[decision.finding]}"
    gate = snapshot.gates.get(facts.connector)
    if gate is not None and gate.problem and gate.lapsed(facts.now) is not None:
        yield f"the approval of `{facts.connector}`: {gate.problem}"


def _applying(
    facts: CallFacts, forbids: Iterable[str], snapshot: Snapshot, *, values: bool
) -> Iterator[str]:
    """Say by which conditions policies apply."""
    if facts.kind == "none":
        return
    target = snapshot.target(facts.connector, facts.kind, facts.name)
    for name in forbids:
        policy = snapshot.policies.by_id.get(name)
        known = facts_of(facts, target, values=values)
        told = "" if policy is None else applying(policy, known)
        if told:
            yield f"another fact: {told}"


def _settling(facts: CallFacts, snapshot: Snapshot) -> Iterator[str]:
    """Say which arguments decide, and give some that would be allowed if any are found."""
    answers = answers_of(facts, snapshot)
    reads = {name for it in answers if it.part is not None for name in it.part.arguments}
    if reads:
        named = ", ".join(f"`{it}`" for it in sorted(reads))
        yield f"the arguments: policies look at {named}"
    found = _instance(facts, answers, snapshot)
    if found is None:
        yield "nobody has shown that there are arguments with which it is allowed"
        return
    written = msgspec.json.encode(found.arguments).decode()
    touched = "" if not found.touched else f", having touched {sorted(found.touched)}"
    yield f"for instance, it is allowed with `{written}`{touched}"


def _instance(
    facts: CallFacts, answers: Sequence[Answer], snapshot: Snapshot
) -> Candidate | None:
    """Search arguments for which the decision is yes, as it is done for a list."""
    if facts.kind == "none":
        return None
    found: list[Candidate] = []

    def allows(
        _: Target, __: Sequence[Answer], definition: str | None, candidate: Candidate
    ) -> bool:
        tried = replace(
            facts,
            definition=definition or facts.definition,
            arguments=candidate.arguments,
            touched=candidate.touched,
        )
        decision = decide(tried, snapshot)
        yes = isinstance(decision, Allowed) or (
            isinstance(decision, Denied) and decision.reason is Reason.APPROVAL_REQUIRED
        )
        if yes:
            found.append(candidate)
        return yes

    target = snapshot.target(facts.connector, facts.kind, facts.name)
    anew = replaced(snapshot, proofs=Proofs())  # what is remembered has no instance
    look_into(Maybe(), target, answers, (), anew, allows)
    return next(iter(found), None)
