"""The decision for a whole list: what of it a principal may use, and so may see."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from bascule.clock import UnixTime
from bascule.decision.entries import TargetKind
from bascule.decision.evaluation import Evaluation
from bascule.decision.facts import Decision, Denied, Kind, Principal, Reason
from bascule.decision.possible import foretold
from bascule.decision.snapshot import Snapshot

METHODS: Mapping[TargetKind, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
}
"""The method by which each kind is used: what is listed is what that would allow."""

_LISTED = "list"
"""Keeps shared verdicts apart in the memo: a call is decided for itself."""
_BATCH_WORK = 1500
"""Rough microseconds between two batches, well within 5 ms of the event loop."""


def decide_many(
    principal: Principal,
    connector: str,
    kind: Kind,
    names: Collection[str],
    now: UnixTime,
    snapshot: Snapshot,
) -> Iterator[list[tuple[str, Decision]]]:
    """Decide for each name as `decide` would for its use, in order, in batches.

    Let others run between two batches.
    """
    if connector not in snapshot.connectors:
        yield [(name, Denied(Reason.UNKNOWN_CONNECTOR)) for name in names]
        return
    if kind == "none":
        yield [(name, Denied(Reason.UNKNOWN_METHOD)) for name in names]
        return
    key = (principal, connector, _LISTED, kind)
    known = snapshot.memo.names(key) or {}
    decided = [(it, found) for it in names if (found := known.get(it)) is not None]
    if len(decided) == len(names):
        yield decided
        return
    method = METHODS[kind]
    evaluation = Evaluation(principal, connector, method, now, snapshot, sharing=True)
    batch: list[tuple[str, Decision]] = []
    for name in names:
        decision = known.get(name)
        if decision is None:
            found, lasts = evaluation.decide(kind, name)
            decision = foretold(found)
            if lasts:
                snapshot.memo.keep(key, name, decision)
        batch.append((name, decision))
        if evaluation.work >= _BATCH_WORK:
            yield batch
            batch, evaluation.work = [], 0
    yield batch
