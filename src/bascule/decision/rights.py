"""Who may do what under one snapshot, for many at once: each question by itself.

People, agents and targets that no policy can tell apart are asked about once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bascule.clock import UnixTime
from bascule.config.members import later
from bascule.decision.answers import Answer
from bascule.decision.callers import Membership
from bascule.decision.cells import FAILED, NOTHING, Asked, Cells, Person, cell_of
from bascule.decision.compile import BUILT_IN_SCOPE
from bascule.decision.decide_many import METHODS
from bascule.decision.evaluation import Evaluation
from bascule.decision.facts import Decision, Principal
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.policy import entity_uid, walk
from bascule.decision.possible import foretold
from bascule.decision.snapshot import Snapshot

OTHER_AGENT = "(any other)"
"""Client id of an agent that nothing names."""
_UNKNOWN = frozenset(("context", "context.args", "context.touched"))
_OF_OTHERS = (
    frozenset(("context", "context.agent")),
    frozenset(("context", "context.user")),
    frozenset(("context", "context.agent", "context.user")),
)
"""For each question: reading it, the answer depends on who is no principal of it."""

Row = tuple[int, ...]
"""Numbers of cells, one for each target."""


class Line(NamedTuple):
    """What one pair of user and agent may do."""

    first: Row
    """May the user; without one: may the agent by itself."""
    use: Row
    token: Row


class _Base(NamedTuple):
    """A line, of a user its first row; where others would have another, by question."""

    line: Line
    crossing: tuple[frozenset[int], ...]


def target_class(snapshot: Snapshot, asked: Asked) -> object:
    """Give what two targets share only if no policy can tell them apart."""
    if asked.connector not in snapshot.connectors:
        return None
    target = snapshot.target(*asked)
    policies = [
        policy
        for action in (USE_ACTIONS[asked.kind], ACT_ALONE)
        for policy in snapshot.policies.on(action, target)
    ]
    # Which arguments there can be is different for each tool.
    own = any(it.is_open and it.reads & {"resource", *_UNKNOWN} for it in policies)
    ids = frozenset(it.id for it in policies)
    return asked.connector, asked.kind, ids, asked.name if own else None


class Rights:
    """Gives lines under one snapshot, at one moment."""

    def __init__(
        self, snapshot: Snapshot, targets: Sequence[Asked], now: UnixTime, cells: Cells
    ) -> None:
        self._snapshot = snapshot
        self._targets = targets
        self._now = now
        self._cells = cells
        self._all = tuple(snapshot.policies.by_id.values())
        self._nothing, self._failed = cells.number(NOTHING), cells.number(FAILED)
        self._classes: dict[tuple[Person | None, str], tuple[object, object]] = {}
        self._bases: dict[object, _Base] = {}
        self._rows: dict[object, Row] = {}
        self._named = frozenset(
            entity_uid(node)
            for policy in self._all
            if policy.is_open
            for node in walk(policy.est["conditions"])
            if "type" in node and "id" in node
        )
        self._places = range(len(targets))
        self._known_targets = [
            snapshot.target(*it) if it.connector in snapshot.connectors else None
            for it in targets
        ]
        self._plain: dict[tuple[tuple[str, str], ...], int] = {}

    def line(self, user: Person | None, agent: str) -> Line:
        """Give what a user may do through an agent, or that agent by itself.

        The token has the scope that clients get which ask for none.
        """
        alone = self._base(None, agent)
        if user is None:
            return alone.line
        of_user = self._base(user, OTHER_AGENT)
        bases = (of_user, alone, alone)
        return Line(*(self._row(n, it, user, agent) for n, it in enumerate(bases)))

    def crossing(self, user: Person | None, agent: str) -> frozenset[int]:
        """Give the places where the user's right depends on the agent.

        Without a user: where the agent's ceiling depends on the user.
        """
        return self._base(user, agent).crossing[1 if user is None else 0]

    def decide(self, user: Person | None, agent: str, place: int) -> Decision:
        """Decide for one target, as `decide` does while arguments are unknown."""
        asked = self._targets[place]
        evaluation = self._evaluation(user, agent, asked)
        return foretold(evaluation.decide(asked.kind, asked.name)[0])

    def scope(self, scope: str) -> Row:
        """Give what a token may be used for that has one scope alone."""
        return self._asked(2, None, OTHER_AGENT, self._places, scope)[0]

    def _row(self, question: int, base: _Base, user: Person, agent: str) -> Row:
        """Give the answers to one question; those about others too are put again."""
        places, row = base.crossing[question], base.line[question]
        if not places:
            return row
        of_user, seen_user = self._class_of(user, OTHER_AGENT)
        of_agent, seen_agent = self._class_of(None, agent)
        whose = (of_user, of_agent, None)[question]
        key = question, whose, seen_user, seen_agent
        known = self._rows.get(key)
        if known is None:
            found, _ = self._asked(question, user, agent, sorted(places))
            exact = dict(zip(sorted(places), found, strict=True))
            known = self._rows[key] = tuple(exact.get(n, it) for n, it in enumerate(row))
        return known

    def _base(self, user: Person | None, agent: str) -> _Base:
        key = self._class_of(user, agent)[0]
        known = self._bases.get(key)
        if known is None:
            # Of a user only its own right is looked at here, all else is the agent's.
            asked = [
                self._asked(number, user, agent, self._places)
                for number in range(1 if user is not None else 3)
            ]
            rows = [row for row, _ in asked] + [()] * (3 - len(asked))
            known = _Base(Line(*rows), tuple(crossing for _, crossing in asked))
            self._bases[key] = known
        return known

    def _class_of(self, user: Person | None, agent: str) -> tuple[object, object]:
        """Give what two callers share only if no policy can tell them apart.

        The second: only if no condition can.
        """
        known = self._classes.get((user, agent))
        if known is None:
            who = _principal(user, agent)
            node = self._snapshot.callers.of(who, self._now).questions[0].principal
            # A condition can compare entities with those that it names, and no others.
            seen = user is None, node.within & self._named, tuple(self._ending(who))
            covering = (it.id for it in self._all if it.principal.covers(node))
            known = self._classes[user, agent] = ((seen, frozenset(covering)), seen)
        return known

    def _asked(
        self,
        number: int,
        user: Person | None,
        agent: str,
        places: Sequence[int],
        scope: str | None = None,
    ) -> tuple[Row, frozenset[int]]:
        """Put one question, by its number, for some of the targets.

        Gives also the places where others would have another answer.
        """
        who = _principal(user, agent)
        caller, ending = self._snapshot.callers.of(who, self._now), self._ending(who)
        nodes = [it.principal for it in caller.questions[:2]]
        evaluations: dict[tuple[str, str], Evaluation] = {}
        row: list[int] = []
        crossing: set[int] = set()
        for place in places:
            asked = self._targets[place]
            target = self._known_targets[place]
            if target is None:
                row.append(self._nothing)
                continue
            key = asked.connector, asked.kind
            if key not in evaluations:
                evaluations[key] = self._evaluation(user, agent, asked, scope)
            answer = self._answer(evaluations[key], number, target, plain=not ending)
            if isinstance(answer, int):
                row.append(answer)
                continue
            row.append(self._cells.number(cell_of(answer, target.node, nodes, ending)))
            if answer.part is not None and answer.part.reads & _OF_OTHERS[number]:
                crossing.add(place)
        return tuple(row), frozenset(crossing)

    def _answer(
        self, evaluation: Evaluation, number: int, target: Target, *, plain: bool
    ) -> Answer | int:
        """Put one question, or give the cell of one that has the same answer.

        Where no condition is open Cedar's answer is a matter of effects alone, and asked
        for once.
        """
        try:
            question, part = evaluation.chosen(number, target)
            if part is None:
                return self._nothing
            plain = plain and not part.reads and not part.obliging
            effects = part.shape
            if plain and effects in self._plain:
                return self._plain[effects]
            answer = evaluation.answer(question, part, target)
        except Exception:  # noqa: BLE001 — as in a decision: whatever goes wrong denies
            return self._failed
        if not plain or answer.verdict.failed:
            return answer
        cell = self._cells.number(cell_of(answer, target.node, (), ()))
        self._plain[effects] = cell
        return cell

    def _evaluation(
        self, user: Person | None, agent: str, asked: Asked, scope: str | None = None
    ) -> Evaluation:
        return Evaluation(
            _principal(user, agent, scope or BUILT_IN_SCOPE + asked.connector),
            asked.connector,
            METHODS[asked.kind],
            self._now,
            self._snapshot,
            sharing=True,
        )

    def _ending(self, who: Principal) -> list[Membership]:
        """Give the roles that a user is in for a time, with the last end of each."""
        ends: dict[str, UnixTime | None] = {}
        for role, until in self._snapshot.callers.memberships(who):
            ends[role] = later(ends[role], until) if role in ends else until
        return [
            Membership(role, until)
            for role, until in sorted(ends.items())
            if until is not None and self._now < until
        ]


def _principal(user: Person | None, agent: str, *scopes: str) -> Principal:
    return Principal(
        user=None if user is None else user.user,
        agent=agent,
        groups=frozenset() if user is None else user.groups,
        scopes=frozenset(scopes),
    )
