"""Asking Cedar: every question of the conjunction, for one target after another."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from bascule.clock import UnixTime
from bascule.decision import cedar
from bascule.decision.answers import Answer, both, conclude
from bascule.decision.arguments import check_arguments
from bascule.decision.callers import Caller, Callers, Question
from bascule.decision.candidates import Candidate
from bascule.decision.details import narrowed
from bascule.decision.entries import TargetKind
from bascule.decision.facts import (
    CallFacts,
    Decision,
    Denied,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target, uid, uid_json
from bascule.decision.normal_uri import is_normal
from bascule.decision.obligations import lift, oblige
from bascule.decision.partial import ask_partially
from bascule.decision.policy import Policy
from bascule.decision.possible import look_into
from bascule.decision.slices import Slice
from bascule.decision.snapshot import Snapshot

_NOTHING_SAID = cedar.Verdict(allows=False)


class Given(NamedTuple):
    """What is known of one call beside who makes it."""

    arguments: Mapping[str, Any]
    """As Cedar's JSON values; those that no policy reads may be left out."""
    touched: frozenset[str]
    sent: Mapping[str, Any]
    """As they would go upstream."""


@dataclass
class _Subject:
    """What questions are about."""

    target: Target
    caller: Caller
    callers: Callers
    once: bool = False
    """It is not asked about again, as in a list, which has each target once."""

    @cached_property
    def entities(self) -> cedar.Entities:
        """The caller's and the target's; made only where Cedar is asked."""
        if self.once:
            return cedar.with_entity(self.caller.entities, self.target.node.entity())
        return self.callers.with_target(self.caller, self.target.node)


class Evaluation:
    """Answers what one principal may use of a connector, by one method, at one moment.

    Without what is `given`, the answer may be that it depends. With `sharing`, targets that
    no policy tells apart get the verdict of the first, which a list of hundreds needs. Then
    whether a head matches is only our own reading of it; so a call that goes upstream is
    never decided that way.
    """

    def __init__(
        self,
        principal: Principal,
        connector: str,
        method: str,
        now: UnixTime,
        snapshot: Snapshot,
        *,
        given: Given | None = None,
        sharing: bool = False,
    ) -> None:
        self._principal = principal
        self._connector = connector
        self._method = method
        self._now = now
        self._snapshot = snapshot
        self._given = given
        self._sharing = sharing
        self._verdicts: dict[tuple[object, ...], tuple[cedar.Verdict, Slice]] = {}
        self.work = 0
        """Roughly the microseconds spent so far."""

    def decide(self, kind: TargetKind, name: str) -> tuple[Decision, bool]:
        """Decide, and tell whether the decision lasts as long as the snapshot.

        Whatever goes wrong on the way denies.
        """
        decision, lasts = self._of_agent(kind, name)
        for actor in dict.fromkeys(self._principal.actors):
            hop = self._through(actor)
            of_hop, hop_lasts = hop._of_agent(kind, name)
            decision, lasts = both(decision, of_hop), lasts and hop_lasts
            self.work += hop.work
        return decision, lasts

    def _through(self, actor: str) -> Evaluation:
        """Ask for a hop of the chain as if it were the agent: each must be permitted."""
        return Evaluation(
            msgspec.structs.replace(self._principal, agent=actor, actors=()),
            self._connector,
            self._method,
            self._now,
            self._snapshot,
            given=self._given,
        )

    def _of_agent(self, kind: TargetKind, name: str) -> tuple[Decision, bool]:
        self.work += 20
        if kind == "resource" and not is_normal(name):
            return Denied(Reason.AMBIGUOUS_URI), True
        try:
            return self._decide(kind, name)
        except Exception:  # noqa: BLE001 — an exception that escaped would leave no record
            return Denied(Reason.POLICY_ERROR), False

    def answers(self, kind: TargetKind, name: str) -> list[Answer]:
        """Put every question, and give the answers one by one, in their order.

        Raises what malformed names and Cedar raise; `decide` denies then.
        """
        target = self._snapshot.target(self._connector, kind, name)
        return self._answers(target)

    def chosen(self, number: int, target: Target) -> tuple[Question, Slice | None]:
        """Give a question by its number, and the policies that it is to be put to."""
        question = self._caller.questions[number]
        policies = self._snapshot.policies
        return question, policies.slice(
            _action(question, target), target, question.principal
        )

    def answer(self, question: Question, part: Slice, target: Target) -> Answer:
        """Put one question alone. Raises what Cedar raises."""
        callers = self._snapshot.callers
        subject = _Subject(target, self._caller, callers, once=self._sharing)
        return Answer(question, part, self._once(question, part, subject, self._ask))

    def judge(
        self, question: Question, policy: Policy, kind: TargetKind, name: str
    ) -> cedar.Verdict:
        """Put one question to one policy alone, to explain what it does."""
        target = self._snapshot.target(self._connector, kind, name)
        subject = _Subject(target, self._caller, self._snapshot.callers)
        return self._evaluate(question, Slice((policy,)), subject)

    def _decide(self, kind: TargetKind, name: str) -> tuple[Decision, bool]:
        target = self._snapshot.target(self._connector, kind, name)
        answers = self._answers(target)
        scopes = self._snapshot.policies.scopes(USE_ACTIONS[kind], target)
        decision = conclude(answers, scopes)
        if isinstance(decision, Maybe):
            self.work += 20
            decision = look_into(
                decision, target, answers, scopes, self._snapshot, self._allows
            )
        obliges = {one for it in answers for one in it.verdict.obliges}
        decision = oblige(decision, obliges, kind, is_call=self._given is not None)
        details = self._principal.details
        sent = None if self._given is None else self._given.sent
        decision = narrowed(decision, details, kind, name, sent, scopes)
        changing = any(it.part is not None and self._changes(it.part) for it in answers)
        changing = changing or not self._caller.steady
        return decision, not changing and not any(it.verdict.failed for it in answers)

    def _answers(self, target: Target) -> list[Answer]:
        caller = self._caller
        parts = [
            self._snapshot.policies.slice(_action(it, target), target, it.principal)
            for it in caller.questions
        ]
        verdicts = self._verdicts_on(target, caller, parts)
        return list(map(Answer, caller.questions, parts, verdicts))

    def _allows(
        self,
        target: Target,
        answers: Sequence[Answer],
        definition: str | None,
        candidate: Candidate,
    ) -> bool:
        """Put the questions that are open again, as if a call came with these arguments."""
        self.work += 600  # with what was done to find them
        facts = CallFacts(
            self._principal,
            target.connector,
            self._method,
            target.kind,
            target.name,
            self._now,
            definition=definition,
            arguments=candidate.arguments,
            touched=candidate.touched,
        )
        checked = check_arguments(facts, candidate.arguments, self._snapshot)
        if isinstance(checked, Denied):
            return False
        call = Evaluation(
            self._principal,
            target.connector,
            self._method,
            self._now,
            self._snapshot,
            given=Given(checked.cedar, candidate.touched, checked.canonical),
        )
        subject = _Subject(target, self._caller, self._snapshot.callers)
        return all(
            it.part is not None and call._put(it.question, it.part, subject).allows
            for it in answers
        )

    def _changes(self, part: Slice) -> bool:
        """Tell whether another call, or the same one later, may be answered otherwise."""
        of_this_call = part.reads_arguments or part.reads_touched
        return part.reads_now or (of_this_call and self._given is not None)

    @cached_property
    def _caller(self) -> Caller:
        return self._snapshot.callers.of(self._principal, self._now)

    def _verdicts_on(
        self, target: Target, caller: Caller, parts: list[Slice | None]
    ) -> list[cedar.Verdict]:
        """Put every question, also when one is answered: a refusal shows no order."""
        subject = _Subject(target, caller, self._snapshot.callers, once=self._sharing)
        return [
            self._once(it, part, subject, self._ask) if part else _NOTHING_SAID
            for it, part in zip(caller.questions, parts, strict=True)
        ]

    def _once(
        self,
        question: Question,
        part: Slice,
        subject: _Subject,
        ask: Callable[[Question, Slice, _Subject], cedar.Verdict],
    ) -> cedar.Verdict:
        """Ask, unless a question that must be answered alike was put already."""
        key = _shared_by(question, part, subject.target)
        verdict = self._known(key, part)
        if verdict is None:
            verdict = ask(question, part, subject)
            self._verdicts[key] = (verdict, part)
        return verdict

    def _known(self, key: tuple[object, ...], part: Slice) -> cedar.Verdict | None:
        known = self._verdicts.get(key) if self._sharing else None
        if known is None:
            return None
        verdict, first = known
        names = (part.ids[first.ids.index(name)] for name in verdict.policies)
        return replace(verdict, policies=tuple(sorted(names)))

    def _ask(self, question: Question, part: Slice, subject: _Subject) -> cedar.Verdict:
        if self._given is None and (part.reads_arguments or part.reads_touched):
            return ask_partially(
                part,
                lambda some: self._once(question, some, subject, self._put),
                lambda probes: self._probe(question, probes, subject),
            )
        return self._put(question, part, subject)

    def _probe(
        self, question: Question, probes: cedar.PolicySet, subject: _Subject
    ) -> cedar.Applying:
        self.work += 120
        return cedar.applying(
            probes,
            subject.entities,
            principal=question.principal.uid,
            action=uid("Action", _action(question, subject.target)),
            resource=subject.target.node.uid,
            context=msgspec.json.encode(self._context).decode(),
        )

    def _put(self, question: Question, part: Slice, subject: _Subject) -> cedar.Verdict:
        verdict = self._evaluate(question, part, subject)
        if not part.obliging:
            return verdict
        return lift(part, verdict, lambda some: self._evaluate(question, some, subject))

    def _evaluate(
        self, question: Question, part: Slice, subject: _Subject
    ) -> cedar.Verdict:
        self.work += 60 + len(part.ids) + (60 if part.reads_context else 0)
        return cedar.evaluate(
            part.handle,
            subject.entities,
            principal=question.principal.uid,
            action=uid("Action", _action(question, subject.target)),
            resource=subject.target.node.uid,
            context=self._context_for(part) if part.reads_context else "{}",
        )

    def _context_for(self, part: Slice) -> str:
        """Write of the context what the policies read: each attribute costs Cedar time."""
        context = self._context
        if "context" not in part.reads:
            wanted = part.reads
            context = {k: v for k, v in context.items() if f"context.{k}" in wanted}
        return msgspec.json.encode(context).decode()

    @cached_property
    def _context(self) -> dict[str, Any]:
        """The request's context."""
        now = datetime.datetime.fromtimestamp(self._now, datetime.UTC)
        agent = uid_json(uid("Agent", self._principal.agent))
        context: dict[str, Any] = {
            "now": {"__extn": {"fn": "datetime", "arg": f"{now:%Y-%m-%dT%H:%M:%SZ}"}},
            "agent": {"__entity": agent},
            "scopes": sorted(self._principal.scopes),
            "method": self._method,
        }
        if self._given is not None:
            context["touched"] = sorted(self._given.touched)
            context["args"] = self._given.arguments
        if self._principal.user is not None:
            user = uid_json(uid("User", self._principal.user.removeprefix("user:")))
            context["user"] = {"__entity": user}
        return context


def _action(question: Question, target: Target) -> str:
    return ACT_ALONE if question.alone else USE_ACTIONS[target.kind]


def _shared_by(question: Question, part: Slice, target: Target) -> tuple[object, ...]:
    """Make a key that two questions of one evaluation share if Cedar must answer alike."""
    return (
        _action(question, target),
        part.shape,
        question.principal.uid if "principal" in part.reads else None,
        target.node.uid if "resource" in part.reads else None,
    )
