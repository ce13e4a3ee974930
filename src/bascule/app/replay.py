"""Recorded calls, decided again by other rights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bascule.app.recorded import Recorded
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Decision, Denied, Maybe, Reason
from bascule.decision.outcomes import Word, outcome_of
from bascule.decision.snapshot import Gates, Snapshot

NO_MATTER_OF_RIGHTS = frozenset(
    (
        Reason.UNKNOWN_METHOD,
        Reason.AMBIGUOUS_URI,
        Reason.NOT_APPROVED,
        Reason.APPROVAL_EXPIRED,
        Reason.APPROVAL_REJECTED,
        Reason.LOCK_DRIFTED,
        Reason.KNOWN_MALWARE,
        Reason.BOUNDARY_BROKEN,
        Reason.DEFINITION_UNAPPROVED,
        Reason.DEFINITION_DRIFTED,
        Reason.DEFINITION_WITHDRAWN,
        Reason.DEFINITIONS_UNREADABLE,
        Reason.ACCOUNT_NEEDED,
        Reason.INVALID_ARGUMENTS,
        Reason.LIMIT_REACHED,
    )
)
"""Refusals that other rights would not have changed."""


class Replayed(Struct, frozen=True):
    """Calls that are decided otherwise, all alike."""

    user: str | None
    agent: str
    connector: str
    method: str
    name: str
    recorded: Word
    reason: str
    """The recorded one."""
    candidate: Word
    candidate_reason: str
    policies: tuple[str, ...]
    """Of the candidate's decision."""
    now: Word
    """By the rights that are in force now."""
    calls: int = 0
    last: int = 0
    """Seconds since 1970."""
    record: int = 0
    """Place in the log of the last."""


@dataclass(slots=True)
class Replay:
    """What came of deciding again."""

    calls: int = 0
    """Recorded decisions about something that a right is needed for."""
    same: int = 0
    differences: list[Replayed] = field(default_factory=list)
    """Those that are most frequent first."""
    undecided: dict[str, int] = field(default_factory=dict)
    """Calls that cannot be decided again, by why."""


def replay(
    calls: Iterable[Recorded],
    arguments_of: Callable[[int], Mapping[str, Any] | None],
    candidate: Snapshot,
    live: Snapshot,
    progress: Callable[[int], None] = lambda calls: None,
) -> Replay:
    """Decide recorded calls again. Raises what giving them raises.

    `arguments_of` gives the arguments of a record where their values were kept; `progress`
    is told how many calls are done. Both snapshots take everything as approved: what was
    refused for want of that stays refused.
    """
    found = Replay()
    why: Counter[str] = Counter()
    unlike: dict[Replayed, Replayed] = {}
    for it in calls:
        found.calls += 1
        progress(found.calls)
        if it.reason in NO_MATTER_OF_RIGHTS:
            found.same += 1
            continue
        if it.missing:
            why[it.missing] += 1
            continue
        decision = decided_again(it, candidate, arguments_of)
        word = outcome_of(decision)
        if word == "maybe":
            why["the values of its arguments were not kept"] += 1
        elif word == it.outcome or (word == "approve" and it.consented):
            found.same += 1
        else:
            now = outcome_of(decided_again(it, live, arguments_of))
            key = _unlike(it, decision, word, now)
            so_far = unlike.get(key, key)
            unlike[key] = replace(
                so_far, calls=so_far.calls + 1, last=it.facts.now, record=it.seq
            )
    found.differences = sorted(unlike.values(), key=lambda it: -it.calls)
    found.undecided = dict(why)
    return found


def decided_again(
    it: Recorded,
    snapshot: Snapshot,
    arguments_of: Callable[[int], Mapping[str, Any] | None],
) -> Decision:
    """Decide a recorded call; `Maybe` where that needs arguments that were not kept."""
    decision = decide(it.facts, snapshot)
    if isinstance(decision, Denied) or it.facts.arguments is not None:
        return decision
    if not _reads_arguments(it.facts, snapshot):
        return decide(replace(it.facts, arguments={}), snapshot)
    arguments = arguments_of(it.seq)
    if arguments is None:
        return decision
    return decide(replace(it.facts, arguments=arguments), snapshot)


def observing(gates: Gates) -> Gates:
    """Give gates that compare nothing, and know the tools that were approved."""
    return {
        name: None
        if gate is None
        else replace(gate, mode="observe", missing=None, until=None, closed=False, pins={})
        for name, gate in gates.items()
    }


def _reads_arguments(facts: CallFacts, snapshot: Snapshot) -> bool:
    if facts.kind != "tool" or facts.connector not in snapshot.connectors:
        return False
    target = snapshot.target(facts.connector, "tool", facts.name)
    return bool(snapshot.arguments.plan(target, None).wanted)


def _unlike(it: Recorded, decision: Decision, word: Word, now: Word) -> Replayed:
    return Replayed(
        user=it.facts.principal.user,
        agent=it.facts.principal.agent,
        connector=it.facts.connector,
        method=it.facts.method,
        name=it.facts.name,
        recorded=it.outcome,
        reason=it.reason,
        candidate=word,
        candidate_reason="" if isinstance(decision, Maybe) else decision.reason.value,
        policies=decision.policies,
        now=now,
    )
