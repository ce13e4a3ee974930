"""Policies that read arguments, validated against the tools that they cover.

Only with an approved surface is it known which arguments a tool has and of which types. So
this is done when configuration and approvals have come together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.decision.argument_fit import listed, may_be
from bascule.decision.argument_rules import Fit
from bascule.decision.argument_schema import ArgumentSchema, schema_of
from bascule.decision.argument_shapes import Shape
from bascule.decision.model import Target
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
        for fit in snapshot.arguments.plan(target, schema).fits:
            about = found.setdefault(fit.policy.id, _Found(fit))
            about.take(fit, target, schema.shape)
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

    def __init__(self, first: Fit) -> None:
        self._policy = first.policy
        self._nowhere = {it.place for it in first.reads}
        """Places that no tool has that was looked at."""
        self._complaints: dict[str, list[str]] = {}
        """What is wrong, and with which tools."""

    def take(self, fit: Fit, target: Target, shape: Shape) -> None:
        """Take how it fits one more tool."""
        self._nowhere -= {it for it in self._nowhere if may_be(shape, it)}
        for complaint in fit.complaints:
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


def _named(tools: list[str]) -> str:
    each = sorted(set(tools))
    shown = ", ".join(f"`{it}`" for it in each[:_NAMED])
    more = len(each) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
