"""One Cedar policy in its JSON form (EST), with what can be told before it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bascule.config.call_approval_rules import DEFAULT
from bascule.decision.entries import Entry
from bascule.decision.model import ACT_ALONE, ACTIONS, Node, Uid, uid

Est = dict[str, Any]
"""A policy in Cedar's JSON policy format."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a policy's head says of its principal or resource; None constrains nothing."""

    type: str | None
    within: Uid | None

    def covers(self, node: Node) -> bool:
        """Whether the constraint may hold; false only if it cannot."""
        return (self.within is None or self.within in node.within) and (
            self.type is None or self.type == node.uid[0]
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is ready to be sliced."""

    id: str
    est: Est
    effect: Literal["permit", "forbid"]
    principal: Scope
    actions: frozenset[str]
    """Those of our actions that the head may cover."""
    resource: Scope
    reads: frozenset[str]
    """What the conditions read: `resource`, `context.now`, …; `context` for all of it."""
    arguments: frozenset[str] = frozenset()
    """Names that the conditions read of `context.args`; `*` for all of it."""
    obligation: str | None = None
    """What `@obligation("…")` says must be done beside: `approve` or `approve:RULE`."""
    glob: Entry | None = None
    """The entry of a generated policy; its conditions come first, and slicing does them."""
    is_open: bool = False
    """Whether more than the head and the slicing decides that it applies."""
    file: str = ""
    """Name of the file that it is written in; empty for a generated one."""
    line: int = 0
    """Where it begins there, from 1."""

    @property
    def approval_rule(self) -> str | None:
        """Name of the rule of call approval that it demands; None for none."""
        if self.obligation is None:
            return None
        kind, _, rule = self.obligation.partition(":")
        return (rule or DEFAULT) if kind == "approve" else None


def policy_of(
    name: str, est: Est, glob: Entry | None = None, *, beside_glob: Sequence[Est] = ()
) -> Policy:
    """Read the head and the conditions of a policy that has no slots.

    Of a policy with a `glob`, only what stands beside that one is read and open.
    """
    conditions = est["conditions"] if glob is None else list(beside_glob)
    return Policy(
        id=name,
        est=est,
        effect=est["effect"],
        principal=_scope(est["principal"]),
        actions=_actions(est["action"]),
        resource=_scope(est["resource"]),
        reads=frozenset(reads_of(conditions)),
        arguments=frozenset(_arguments(conditions)),
        obligation=est.get("annotations", {}).get("obligation"),
        glob=glob,
        is_open=bool(conditions),
    )


def walk(node: object) -> Iterator[dict[str, Any]]:
    """Go through every object of an expression."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def entity_uid(node: dict[str, Any]) -> Uid:
    """Read a uid."""
    return (node["type"], node["id"])


def _scope(est: Est) -> Scope:
    within = est.get("entity") or (est.get("in") or {}).get("entity")
    return Scope(est.get("entity_type"), within and entity_uid(within))


def _actions(est: Est) -> frozenset[str]:
    if est["op"] == "All":
        return frozenset(ACTIONS)
    named = [est["entity"]] if "entity" in est else est["entities"]
    uids = {entity_uid(entity) for entity in named}
    group = est["op"] == "in" and uid("Action", "use") in uids
    return frozenset(
        action
        for action in ACTIONS
        if uid("Action", action) in uids or (group and action != ACT_ALONE)
    )


def reads_of(node: object) -> Iterator[str]:
    """Name the variables that an expression reads; too many rather than too few."""
    if isinstance(node, list):
        for child in node:
            yield from reads_of(child)
    elif isinstance(node, dict):
        for operator, operand in node.items():
            attribute = _context_attribute(operator, operand)
            if attribute is not None:
                yield f"context.{attribute}"
            elif operator == "Var" and isinstance(operand, str):
                yield operand
            else:
                yield from reads_of(operand)


_ARGS: Est = {".": {"left": {"Var": "context"}, "attr": "args"}}


def _arguments(node: object) -> Iterator[str]:
    """Name the arguments that an expression reads; `*` for one that takes them whole."""
    if isinstance(node, list):
        for child in node:
            yield from _arguments(child)
    elif isinstance(node, dict):
        if node == _ARGS:
            yield "*"
            return
        for operator, operand in node.items():
            named = isinstance(operand, dict) and operand.get("left") == _ARGS
            attribute = operand.get("attr") if named else None
            if operator in {".", "has"} and isinstance(attribute, str):
                yield attribute
            else:
                yield from _arguments(operand)


def _context_attribute(operator: str, operand: object) -> str | None:
    if operator not in {".", "has"} or not isinstance(operand, dict):
        return None
    attribute = operand.get("attr")
    if operand.get("left") != {"Var": "context"} or not isinstance(attribute, str):
        return None
    return attribute
