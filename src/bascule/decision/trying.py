"""Trying cases out, and which policies they have put to work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.decision.answers import Answer
from bascule.decision.cases import Case, Expected, PlacedCase
from bascule.decision.compile import BUILT_IN_AGENT, BUILT_IN_SCOPE
from bascule.decision.decide import decide
from bascule.decision.decide_many import METHODS
from bascule.decision.entries import TargetKind, glob_matches
from bascule.decision.explain import answers_of, reason_of
from bascule.decision.facts import (
    Allowed,
    CallFacts,
    Consent,
    Decision,
    Denied,
    Maybe,
    Principal,
    Reason,
)
from bascule.decision.gate import as_approved
from bascule.decision.snapshot import Snapshot

_NO_MATTER_OF_RIGHTS = frozenset(
    (
        Reason.AMBIGUOUS_URI,
        Reason.INVALID_ARGUMENTS,
        Reason.POLICY_ERROR,
        Reason.UNKNOWN_METHOD,
    )
)
"""What a mistake in a case, or in a policy, is denied for, whoever asks."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one use of one case."""

    file: str
    line: int
    name: str
    use: str
    """`CONNECTOR/NAME`."""
    expect: Expected
    decision: Expected
    reason: str
    policies: tuple[str, ...]
    problem: str
    """What is not as expected; empty when all is."""
    exercised: tuple[str, ...]
    """Policies that were decisive for the user, the agent or the token."""
    facts: CallFacts
    """What was decided on."""

    @property
    def ok(self) -> bool:
        """Whether all is as expected."""
        return not self.problem


Tools = Mapping[str, Sequence[str]]
"""Names of approved tools by connector; none of a connector that is not locked."""


def try_case(
    placed: PlacedCase, snapshot: Snapshot, tools: Tools, *, now: UnixTime
) -> list[Outcome]:
    """Decide each use of a case. Without `at` it is `now`, and must not matter."""
    return [
        _try(placed, kind, use, snapshot, tools, now)
        for kind, written in placed.uses
        for use in _meant(kind, written, tools)
    ]


def _meant(kind: TargetKind, written: str, tools: Tools) -> list[str]:
    """Give the tools that a pattern stands for; itself when it stands for none."""
    connector, _, pattern = written.partition("/")
    if kind != "tool" or "*" not in pattern:
        return [written]
    names = (it for it in tools.get(connector, ()) if glob_matches(pattern, it))
    return [f"{connector}/{name}" for name in names] or [written]


def _try(
    placed: PlacedCase,
    kind: TargetKind,
    use: str,
    snapshot: Snapshot,
    tools: Tools,
    now: UnixTime,
) -> Outcome:
    case = placed.case
    facts = as_approved(_facts(case, kind, use, now), snapshot.gates.get(_connector(use)))
    decision = _decided(facts, snapshot, approved=case.approved)
    answers = answers_of(facts, snapshot)
    problem = _unknown(kind, use, snapshot, tools)
    if not problem and case.at is None and _is_timed(facts, answers, snapshot):
        problem = "the time decides: say `at`"
    return Outcome(
        file=placed.file,
        line=placed.line,
        name=case.name,
        use=use,
        expect=case.expect,
        decision=_told(decision),
        reason=reason_of(decision),
        policies=decision.policies,
        problem=problem or _difference(case, decision),
        exercised=tuple(sorted(_decisive(answers))),
        facts=facts,
    )


def _is_timed(facts: CallFacts, answers: Sequence[Answer], snapshot: Snapshot) -> bool:
    """Tell whether the decision may be another one at another time."""
    if any(it.part is not None and it.part.reads_now for it in answers):
        return True
    return bool(answers) and not snapshot.callers.of(facts.principal, facts.now).steady


def _decided(facts: CallFacts, snapshot: Snapshot, *, approved: bool) -> Decision:
    decision = decide(facts, snapshot)
    if approved and isinstance(decision, Denied) and decision.call is not None:
        return decide(replace(facts, consent=Consent(decision.call.binding)), snapshot)
    return decision


def _decisive(answers: Iterable[Answer]) -> set[str]:
    settled = [it.verdict for it in answers if not it.verdict.failed]
    decided = {name for it in settled if not it.depends for name in it.policies}
    return decided | {name for it in settled for _, name in it.obliges}


def _connector(use: str) -> str:
    return use.partition("/")[0]


def _facts(case: Case, kind: TargetKind, use: str, now: UnixTime) -> CallFacts:
    connector, _, name = use.partition("/")
    scopes = (f"{BUILT_IN_SCOPE}{connector}",) if case.scopes is None else case.scopes
    principal = Principal(
        user=None if case.user is None else _prefixed("user:", case.user),
        agent=case.agent or BUILT_IN_AGENT,
        groups=frozenset(_prefixed("group:", it) for it in case.groups),
        scopes=frozenset(scopes),
    )
    return CallFacts(
        principal,
        connector,
        METHODS[kind],
        kind,
        name,
        now if case.at is None else UnixTime(int(case.at.timestamp())),
        arguments=case.arguments,
        touched=frozenset(case.touched),
    )


def _unknown(kind: TargetKind, use: str, snapshot: Snapshot, tools: Tools) -> str:
    """Say that a case is about nothing that there is: such a one is denied, whatever."""
    connector, _, name = use.partition("/")
    if connector not in snapshot.connectors:
        return f"connector `{connector}` does not exist"
    if kind != "tool":
        return ""
    if connector not in tools:
        return (
            f"`*` needs `{connector}` to be locked: `bascule lock {connector}`"
            if "*" in name
            else ""
        )
    return "" if name in tools[connector] else f"`{connector}` has no tool `{name}`"


def _told(decision: Decision) -> Expected:
    match decision:
        case Allowed():
            return "allow"
        case Maybe():
            return "maybe"
        case Denied():
            return "deny"


def _difference(case: Case, decision: Decision) -> str:
    if _told(decision) != case.expect:
        return f"{_told(decision)} in place of {case.expect}"
    if case.reason is not None and reason_of(decision) != case.reason:
        return f"denied for {reason_of(decision)} in place of {case.reason.value}"
    if case.reason is None and reason_of(decision) in _NO_MATTER_OF_RIGHTS:
        return (
            f"denied for {reason_of(decision)}, whatever the rights are: "
            "if it is that what is tried, say it as `reason`"
        )
    missing = [it for it in case.policies if it not in decision.policies]
    if missing:
        return f"not decided by {', '.join(f'`{it}`' for it in missing)}"
    return ""


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name


class Share(Struct, frozen=True):
    """How much of something was tested."""

    tested: int
    total: int
    missing: tuple[str, ...]

    @property
    def percent(self) -> int:
        """Whole percents, rounded down; of nothing everything is tested."""
        return 100 if not self.total else 100 * self.tested // self.total


def share(every: Iterable[str], tested: Iterable[str]) -> Share:
    """Compare what there is with what was tested of it."""
    there = set(every)
    missing = there.difference(tested)
    return Share(len(there) - len(missing), len(there), tuple(sorted(missing)))


def written_policies(snapshot: Snapshot) -> set[str]:
    """Name the policies that somebody wrote, and that somebody can come under."""
    built_in = (f"scope:{BUILT_IN_SCOPE}", f"ceiling:{BUILT_IN_AGENT}/*")
    return {
        name
        for name, policy in snapshot.standing.by_id.items()
        if not name.startswith(built_in) and snapshot.callers.can_come_under(policy)
    }
