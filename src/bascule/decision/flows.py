"""Flows: what is closed to an identity that has used something else a while ago.

Each label in `close` is written out as its entries, each a policy of its own:

    flow:NAME/ENTRY                 forbids the entry while the flow's labels are touched

It speaks of the agent, which every use is asked of; what has been touched is the user's
and the agent's together. A target that no flow closes has none of these policies, so its
decision reads nothing of what was touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bascule.config.flow_rules import opening
from bascule.config.model import Flow
from bascule.decision.entries import Entry
from bascule.decision.generated import USE, forbid
from bascule.decision.policy import Est, Policy

FLOW = "flow:"
"""What the `@id` of such a policy begins with."""
CLOSED = "closed for a while: this agent has used what must not be followed by it"

_ANY_AGENT: Est = {"op": "is", "entity_type": "Mcp::Agent"}
_TOUCHED: Est = {".": {"left": {"Var": "context"}, "attr": "touched"}}


def flow_policies(
    flows: Mapping[str, Flow], labels: Mapping[str, Sequence[Entry]]
) -> Iterator[tuple[Policy, tuple[str, ...]]]:
    """Give the policies of all flows, each with its path in the file."""
    for name, flow in flows.items():
        obligation = None
        if flow.then == "approve":
            obligation = f"approve:{flow.rule}" if flow.rule else "approve"
        closed = {it.text: it for label in flow.close for it in labels.get(label, ())}
        for text, entry in closed.items():
            label = f"{FLOW}{name}/{text}"
            policy = forbid(
                label, _ANY_AGENT, USE, entry, _touched(flow), obligation=obligation
            )
            yield policy, ("flows", name)


def windows_of(flows: Mapping[str, Flow]) -> dict[str, int]:
    """Give the seconds for which the use of something with a label counts, by label."""
    return {label: 60 * it.minutes for it in flows.values() for label in opening(it)}


def _touched(flow: Flow) -> Est:
    """Write when a flow's time has begun; what is touched counts as long as it lasts."""
    found = [
        {operator: {"left": _TOUCHED, "right": _set(labels)}}
        for operator, labels in (
            ("containsAny", flow.after),
            ("containsAll", flow.after_all),
        )
        if labels
    ]
    if len(found) == 1:
        return found[0]
    left, right = found
    return {"||": {"left": left, "right": right}}


def _set(labels: Sequence[str]) -> Est:
    return {"Set": [{"Value": label} for label in labels]}
