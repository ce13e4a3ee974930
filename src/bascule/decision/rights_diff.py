"""What becomes allowed, and what denied, when one snapshot takes the place of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

from bascule.clock import UnixTime
from bascule.decision.answers import Answer, conclude
from bascule.decision.callers import Question
from bascule.decision.cells import Asked, Cells, Person
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.decision.model import agent_node
from bascule.decision.obligations import oblige
from bascule.decision.rights import OTHER_AGENT, Line, Rights, Row, target_class
from bascule.decision.snapshot import Snapshot

Answered = Literal["allow", "maybe", "deny"]
ChangeKind = Literal["allowed", "denied", "wider", "narrower", "conditions"]
"""`wider`: without conditions that there were; `conditions`: on others than before."""


class Change(NamedTuple):
    """How one answer differs."""

    kind: ChangeKind
    before: Answered
    after: Answered
    reason: str
    """Why it is denied, before or after; empty where it never is."""


@dataclass(frozen=True, slots=True)
class Block:
    """One change that is true of each combination of some people, agents and targets."""

    change: Change
    users: tuple[str | None, ...]
    """Labels; None: the agent by itself. Empty where users are not looked at."""
    agents: tuple[str, ...]
    """Empty where agents are not looked at."""
    targets: tuple[str, ...]
    """As entries."""

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return max(len(self.users), 1) * max(len(self.agents), 1) * len(self.targets)


@dataclass(frozen=True, slots=True)
class Everyone:
    """Whose rights are compared, and rights to what."""

    users: tuple[Person, ...]
    agents: tuple[str, ...]
    scopes: tuple[str, ...]
    targets: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: each right by itself, and all together."""

    users: list[Block]
    """What users may, and agents by themselves as far as that is their own right."""
    agents: list[Block]
    """The most that agents may be used for."""
    scopes: list[Block]
    """The most that a token with one scope may be used for; it stands in `users`."""
    combined: list[Block]
    """What agents may for users, or by themselves; with the scope that is given unasked."""


_NOBODY = agent_node("", own_ceiling=True)
_USER = Question(_NOBODY, False, Reason.NO_USER_RIGHT)
_ALONE = Question(_NOBODY, True, Reason.NO_AGENT_RIGHT)
_AGENT = Question(_NOBODY, False, Reason.ABOVE_CEILING)
_TOKEN = Question(_NOBODY, False, Reason.INSUFFICIENT_SCOPE)

_Decide = Callable[[Rights, int], Decision]
_Caller = tuple[str | None, str]
"""Labels of user and agent; empty for one that is not looked at."""
_Places = tuple[int, ...]
_Found = dict[Change, _Places]
"""What differs for one caller, and for which classes of targets."""


def difference(
    before: Snapshot,
    after: Snapshot,
    everyone: Everyone,
    now: UnixTime,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Difference:
    """Compare what everyone may, at one moment and whatever is approved.

    `progress` is told how many pairs of user and agent, of how many, are done.
    """
    comparing = _Comparing(before, after, everyone, now)
    combined = dict(comparing.pairs(progress))
    blocks = comparing.blocks
    return Difference(
        users=blocks(dict(comparing.users())),
        agents=blocks(dict(comparing.agents())),
        scopes=blocks({(it, ""): comparing.scope(it) for it in everyone.scopes}),
        combined=blocks(combined),
    )


def together(
    before: Snapshot,
    after: Snapshot,
    everyone: Everyone,
    now: UnixTime,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Block]:
    """Compare only what agents may for users, or by themselves: `Difference.combined`."""
    comparing = _Comparing(before, after, everyone, now)
    return comparing.blocks(dict(comparing.pairs(progress)))


class _Comparing:
    """Two snapshots, and targets of which those alike in both are one."""

    def __init__(
        self, before: Snapshot, after: Snapshot, everyone: Everyone, now: UnixTime
    ) -> None:
        classes: dict[object, list[Asked]] = {}
        for asked in everyone.targets:
            # Of one kind they are even where neither knows the connector.
            key = asked.kind, target_class(before, asked), target_class(after, asked)
            classes.setdefault(key, []).append(asked)
        self._members = list(classes.values())
        first = [members[0] for members in self._members]
        self._kinds = [asked.kind for asked in first]
        self._everyone = everyone
        self._cells = Cells()
        self._before = Rights(before, first, now, self._cells)
        self._after = Rights(after, first, now, self._cells)
        self._changes: dict[tuple[object, ...], Change | None] = {}
        self._found: dict[tuple[Line, Line, bool], _Found] = {}

    def pairs(
        self, progress: Callable[[int, int], None]
    ) -> Iterator[tuple[_Caller, _Found]]:
        """Compare what agents may for users, or by themselves."""
        pairs = list(product((*self._everyone.users, None), self._everyone.agents))
        for done, (user, agent) in enumerate(pairs, 1):
            yield (_label(user), agent), self.pair(user, agent)
            progress(done, len(pairs))

    def pair(self, user: Person | None, agent: str) -> _Found:
        """Compare what an agent may for a user, or by itself."""
        key = self._before.line(user, agent), self._after.line(user, agent), user is None
        found = self._found.get(key)
        if found is None:
            first = _ALONE if user is None else _USER
            found = self._found[key] = self._compare(
                (first, _AGENT, _TOKEN),
                key[0],
                key[1],
                lambda rights, place: rights.decide(user, agent, place),
            )
        return found

    def users(self) -> Iterator[tuple[_Caller, _Found]]:
        """Compare what users may; through an agent only where that makes a difference."""
        for agent in self._everyone.agents:
            yield (None, agent), self._first(None, agent)
        for user in self._everyone.users:
            crossing = self._crossing(user, OTHER_AGENT)
            yield (user.label, ""), _without(self._first(user, OTHER_AGENT), crossing)
            for agent in self._everyone.agents if crossing else ():
                yield (user.label, agent), _within(self._first(user, agent), crossing)

    def agents(self) -> Iterator[tuple[_Caller, _Found]]:
        """Compare ceilings; for a user only where that makes a difference."""
        for agent in self._everyone.agents:
            crossing = self._crossing(None, agent)
            yield ("", agent), _without(self._use(None, agent), crossing)
            for user in (*self._everyone.users, None) if crossing else ():
                yield (_label(user), agent), _within(self._use(user, agent), crossing)

    def scope(self, scope: str) -> _Found:
        """Compare what a token may be used for that has one scope alone."""
        before, after = self._before.scope(scope), self._after.scope(scope)
        return self._compare((_TOKEN,), (before,), (after,))

    def _first(self, user: Person | None, agent: str) -> _Found:
        before, after = self._before.line(user, agent), self._after.line(user, agent)
        question = _ALONE if user is None else _USER
        return self._compare((question,), (before.first,), (after.first,))

    def _use(self, user: Person | None, agent: str) -> _Found:
        before, after = self._before.line(user, agent), self._after.line(user, agent)
        return self._compare((_AGENT,), (before.use,), (after.use,))

    def _crossing(self, user: Person | None, agent: str) -> frozenset[int]:
        return self._before.crossing(user, agent) | self._after.crossing(user, agent)

    def _compare(
        self,
        questions: Sequence[Question],
        before: Sequence[Row],
        after: Sequence[Row],
        decide: _Decide | None = None,
    ) -> _Found:
        """Compare column by column; `decide` knows of what depends on arguments."""
        found: dict[Change, list[int]] = {}
        columns = zip(zip(*before, strict=True), zip(*after, strict=True), strict=True)
        for place, (old, new) in enumerate(columns):
            if old == new:
                continue
            # Whether there are arguments for it is different for each tool.
            depends = any(self._cells[it].verdict.depends for it in (*old, *new))
            key = questions[0].missing, old, new, self._kinds[place], depends and place
            if key not in self._changes:
                self._changes[key] = self._change(questions, old, new, place, decide)
            change = self._changes[key]
            if change is not None:
                found.setdefault(change, []).append(place)
        return {change: tuple(places) for change, places in found.items()}

    def _change(
        self,
        questions: Sequence[Question],
        old: Sequence[int],
        new: Sequence[int],
        place: int,
        decide: _Decide | None,
    ) -> Change | None:
        """Say how two answers differ that do not hang on the same."""
        before, lacked = _told(self._outcome(self._before, questions, old, place, decide))
        after, lacks = _told(self._outcome(self._after, questions, new, place, decide))
        if before == after == "deny" and any(map(self._both_refuse, old, new)):
            return None
        kind = _KINDS.get((before, after), "conditions")
        return Change(kind, before, after, lacks or lacked)

    def _outcome(
        self,
        rights: Rights,
        questions: Sequence[Question],
        numbers: Sequence[int],
        place: int,
        decide: _Decide | None,
    ) -> Decision:
        verdicts = [self._cells[number].verdict for number in numbers]
        answers = [
            Answer(it, None, verdict)
            for it, verdict in zip(questions, verdicts, strict=True)
        ]
        decision = conclude(answers, ())
        if isinstance(decision, Maybe):
            if decide is not None:
                return decide(rights, place)
            always = all(
                it.allows or (it.depends and it.depends.certain) for it in verdicts
            )
            decision = Allowed() if always else decision
        obliges = {one for it in verdicts for one in it.obliges}
        return oblige(decision, obliges, self._kinds[place], is_call=False)

    def _both_refuse(self, old: int, new: int) -> bool:
        """Whether one question is answered no, before and after, whatever happens."""
        return all(
            it.conditions is None and not it.verdict.allows and not it.verdict.depends
            for it in (self._cells[old], self._cells[new])
        )

    def blocks(self, found: dict[_Caller, _Found]) -> list[Block]:
        """Take together what is the same for many; the greatest first."""
        shared: dict[tuple[Change, _Places], dict[str | None, list[str]]] = {}
        for (user, agent), changes in found.items():
            for change, places in changes.items():
                callers = shared.setdefault((change, places), {})
                callers.setdefault(user, []).append(agent)
        blocks = [
            Block(change, users, agents, self._entries(places))
            for (change, places), callers in shared.items()
            for users, agents in _rectangles(callers)
        ]
        return sorted(blocks, key=lambda it: (_RANK.index(it.change.kind), -it.size))

    def _entries(self, places: Iterable[int]) -> tuple[str, ...]:
        members = (asked for place in places for asked in self._members[place])
        return tuple(sorted(asked.entry for asked in members))


_RANK: Sequence[ChangeKind] = ("allowed", "wider", "conditions", "narrower", "denied")
"""What gives most stands first."""
_KINDS: Mapping[tuple[Answered, Answered], ChangeKind] = {
    ("deny", "allow"): "allowed",
    ("deny", "maybe"): "allowed",
    ("maybe", "allow"): "wider",
    ("allow", "maybe"): "narrower",
    ("allow", "deny"): "denied",
    ("maybe", "deny"): "denied",
}


def _rectangles(
    callers: Mapping[str | None, list[str]],
) -> Iterator[tuple[tuple[str | None, ...], tuple[str, ...]]]:
    """Give users who share their agents, with these; empty for what is not looked at."""
    by_agents: dict[tuple[str, ...], list[str | None]] = {}
    for user, agents in callers.items():
        by_agents.setdefault(tuple(agents), []).append(user)
    for shared, users in by_agents.items():
        yield tuple(it for it in users if it != ""), tuple(filter(None, shared))


def _told(decision: Decision) -> tuple[Answered, str]:
    match decision:
        case Denied(reason=reason):
            return "deny", reason.value
        case Allowed():
            return "allow", ""
        case Maybe():
            return "maybe", ""


def _without(found: _Found, crossing: frozenset[int]) -> _Found:
    return _kept(found, lambda place: place not in crossing)


def _within(found: _Found, crossing: frozenset[int]) -> _Found:
    return _kept(found, lambda place: place in crossing)


def _kept(found: _Found, wanted: Callable[[int], bool]) -> _Found:
    kept = {change: tuple(filter(wanted, places)) for change, places in found.items()}
    return {change: places for change, places in kept.items() if places}


def _label(user: Person | None) -> str | None:
    return None if user is None else user.label
