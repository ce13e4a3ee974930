"""Policies that read arguments, validated against the tools that they cover.

Only with an approved surface is it known which arguments a tool has and of which types. So
this is done when configuration and approvals have come together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.decision.argument_fit import complaints, listed, may_be
from bascule.decision.argument_reads import reads
from bascule.decision.argument_schema import ArgumentSchema, schema_of
from bascule.decision.argument_shapes import Shape
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.policy import Policy
from bascule.decision.problems import Problem, dotted
from bascule.decision.snapshot import Snapshot

_NAMED = 3
"""Tools that one problem names; of others it gives the number."""


def argument_problems(snapshot: Snapshot) -> list[Problem]:
    """Give what is wrong between policies and the arguments of approved tools.

    One problem for each policy and complaint, however many tools it is about; and a warning
    for each tool whose schema cannot be used, and each declared argument that is nowhere.
    """
    found: dict[str, _Found] = {}
    tools = list(_approved_tools(snapshot))
    problems = list(_undeclarable(snapshot, tools))
    for target, schema in tools:
        if schema.problem:
            problems.append(_unusable(target, schema.problem))
            continue
        for policy in _reading(snapshot, target):
            about = found.setdefault(policy.id, _Found(policy))
            about.look_at(snapshot, target, schema)
    return [*problems, *(it for about in found.values() for it in about.problems())]


def _undeclarable(
    snapshot: Snapshot, tools: Sequence[tuple[Target, ArgumentSchema]]
) -> Iterator[Problem]:
    """Give the arguments in `[connectors.NAME.arguments]` that no approved tool has."""
    for connector in sorted({target.connector for target, _ in tools}):
        own = [(it.name, schema.shape) for it, schema in tools if it.connector == connector]
        for key in snapshot.arguments.declared(connector):
            if not any(_has(shape, key, tool) for tool, shape in own):
                where = ("connectors", connector, "arguments", key)
                message = f"{dotted(where)}: no approved tool has such an argument"
                yield Problem("", 0, "warning", message, where)


def _has(shape: Shape, key: str, tool: str) -> bool:
    names = (key, key.removeprefix(f"{tool}/"))
    return any(
        may_be(shape, place) for it in names for place in ((it,), tuple(it.split(".")))
    )


def _unusable(target: Target, problem: str) -> Problem:
    label = f"{target.connector}/{target.name}"
    message = (
        f"every call of `{label}` is refused where its approval is enforced: its input "
        f"schema cannot be used: {problem}"
    )
    return Problem("", 0, "warning", message, ("connectors", target.connector))


class _Found:
    """What is wrong with one policy, over all tools that it covers."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._reads = list(reads(policy.est["conditions"]))
        self._nowhere = {it.place for it in self._reads}
        """Places that no tool has that was looked at."""
        self._complaints: dict[str, list[str]] = {}
        """What is wrong, and with which tools."""

    def look_at(self, snapshot: Snapshot, target: Target, schema: ArgumentSchema) -> None:
        """Hold the policy against one more tool."""
        self._nowhere -= {it for it in self._nowhere if may_be(schema.shape, it)}
        forms = snapshot.arguments.plan(target, schema).forms
        for complaint in complaints(self._policy, self._reads, schema.shape, forms):
            tools = self._complaints.setdefault(complaint, [])
            tools.append(f"{target.connector}/{target.name}")

    def problems(self) -> Iterator[Problem]:
        """Give the problems, each at the line of the policy."""
        policy = self._policy
        for complaint, tools in self._complaints.items():
            message = f"`{policy.id}` for {_named(tools)}: {complaint}"
            yield Problem(policy.file, policy.line, "error", message)
        if self._nowhere and not self._complaints:
            message = (
                f"`{policy.id}` asks for {listed(self._nowhere)}, which no approved tool "
                "that it covers has"
            )
            yield Problem(policy.file, policy.line, "error", message)


def _approved_tools(snapshot: Snapshot) -> Iterator[tuple[Target, ArgumentSchema]]:
    """Give each approved tool with its schema; with each, where it has several."""
    for connector, gate in sorted(snapshot.gates.items()):
        if gate is None or gate.missing is not None:
            continue
        for name, pins in sorted(gate.tools.items()):
            target = snapshot.target(connector, "tool", name)
            for text in sorted({pin.schema for pin in pins.values()}):
                yield target, schema_of(text)


def _reading(snapshot: Snapshot, target: Target) -> list[Policy]:
    """Give the policies on a tool that read arguments, each once."""
    actions = (USE_ACTIONS["tool"], ACT_ALONE)
    covering = (it for action in actions for it in snapshot.policies.on(action, target))
    return list({it.id: it for it in covering if it.arguments}.values())


def _named(tools: list[str]) -> str:
    each = sorted(set(tools))
    shown = ", ".join(f"`{it}`" for it in each[:_NAMED])
    more = len(each) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
