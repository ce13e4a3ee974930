"""Why a decision came out as it did."""

from __future__ import annotations

from bascule.decision.arguments import check_arguments
from bascule.decision.decide import KINDS
from bascule.decision.evaluation import Answer, Evaluation, Given
from bascule.decision.facts import CallFacts, Denied
from bascule.decision.snapshot import Snapshot


def evaluation_of(facts: CallFacts, snapshot: Snapshot) -> Evaluation:
    """Give the evaluation that a decision about these facts rests on."""
    given = None
    if facts.arguments is not None:
        checked = check_arguments(facts, facts.arguments, snapshot)
        if not isinstance(checked, Denied):
            given = Given(checked.cedar, facts.touched)
    return Evaluation(
        facts.principal, facts.connector, facts.method, facts.now, snapshot, given=given
    )


def answers_of(facts: CallFacts, snapshot: Snapshot) -> list[Answer]:
    """Put every question that a decision rests on; none where no policy is asked.

    Arguments that are not valid are taken as not known.
    """
    kinds = KINDS.get(facts.method, frozenset())
    if facts.connector not in snapshot.connectors or facts.kind == "none":
        return []
    if facts.kind not in kinds:
        return []
    return evaluation_of(facts, snapshot).answers(facts.kind, facts.name)
