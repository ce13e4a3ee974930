"""What flows, and policies that read what was touched, say in vain: warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bascule.config.flow_rules import opening
from bascule.config.model import Config
from bascule.decision.policy import Est, walk
from bascule.decision.problems import CONFIG_FILE, Problem, dotted
from bascule.decision.snapshot import Snapshot

_TOUCHED: Est = {".": {"left": {"Var": "context"}, "attr": "touched"}}
_ASKING = ("contains", "containsAny", "containsAll")


def flow_lints(config: Config, snapshot: Snapshot) -> Iterator[Problem]:
    """Give flows that nothing begins or that close nothing, and labels that never count."""
    written = [it for it in snapshot.standing.by_id.values() if it.file]
    asked = any(not it.reads.isdisjoint({"context", "context.touched"}) for it in written)
    for name, flow in config.flows.items():
        where = ("flows", name)
        empty = {it for it in opening(flow) if not config.labels[it]}
        if empty.issuperset(flow.after) and (
            not flow.after_all or empty & {*flow.after_all}
        ):
            yield _warning(where, "never begins: nothing has its labels")
        if not flow.close and not asked:
            yield _warning(where, "closes nothing, and no policy reads `context.touched`")
        elif flow.close and not any(config.labels[it] for it in flow.close):
            yield _warning(where, "closes nothing: nothing has a label of `close`")
    for policy in written:
        for label in sorted(set(_labels(policy.est["conditions"]))):
            if label not in snapshot.concerns.windows:
                said = f"`{policy.id}` asks for `{label}`, with which no flow begins"
                yield Problem(policy.file, policy.line, "warning", said)


def _labels(conditions: Iterable[Est]) -> Iterator[str]:
    """Give the labels that are written out where it is asked what was touched."""
    for node in walk(list(conditions)):
        for operator in _ASKING:
            operands = node.get(operator)
            if isinstance(operands, dict) and operands.get("left") == _TOUCHED:
                values = (it.get("Value") for it in walk(operands["right"]))
                yield from (it for it in values if isinstance(it, str))


def _warning(where: tuple[str, ...], said: str) -> Problem:
    return Problem(CONFIG_FILE, 0, "warning", f"{dotted(where)}: {said}", where)
