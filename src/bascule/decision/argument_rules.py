"""What policies and configuration say of the arguments of each tool."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from msgspec import Struct

from bascule.config.model import Config, Connector
from bascule.decision.argument_forms import Form, forms
from bascule.decision.argument_reads import Wanted, reads, wanted
from bascule.decision.argument_schema import ArgumentSchema
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.slices import Policies

_MAX_PLANS = 4096
_Key = tuple[str, str, int]
"""Connector, tool, and which schema."""


class Plan(Struct, frozen=True):
    """What is done with the arguments of one tool."""

    wanted: Wanted
    """Those that some policy on it reads, whoever calls."""
    forms: tuple[Form, ...]
    """How those among them are spelt that are compared with texts."""


class ArgumentRules:
    """Gives the plan for each tool; a plan lasts as long as the policies do."""

    def __init__(self, policies: Policies, connectors: Mapping[str, Connector]) -> None:
        self._policies = policies
        self._declared = {name: it.arguments for name, it in connectors.items()}
        self._unknown_allowed = frozenset(
            name for name, it in connectors.items() if it.unknown_arguments == "allow"
        )
        self._plans: dict[_Key, tuple[ArgumentSchema | None, Plan]] = {}

    def allows_unknown(self, connector: str) -> bool:
        """Whether arguments that a tool's schema does not have may pass."""
        return connector in self._unknown_allowed

    def plan(self, target: Target, schema: ArgumentSchema | None) -> Plan:
        """Give what is done with the arguments of a tool.

        `schema`: the approved one; None where nothing is approved.
        """
        key = (target.connector, target.name, id(schema))
        known = self._plans.get(key)
        if known is not None:
            return known[1]
        plan = self._make(target, schema)
        if len(self._plans) >= _MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        # The schema is kept beside, so that no other can have its id.
        self._plans[key] = (schema, plan)
        return plan

    def _make(self, target: Target, schema: ArgumentSchema | None) -> Plan:
        actions = (USE_ACTIONS["tool"], ACT_ALONE)
        covering = chain.from_iterable(self._policies.on(it, target) for it in actions)
        policies = {it.id: it for it in covering if it.arguments}.values()
        found = [read for it in policies for read in reads(it.est["conditions"])]
        declared = self._declared.get(target.connector, {})
        shape = None if schema is None else schema.shape
        return Plan(
            wanted(found, whole=any("*" in it.arguments for it in policies)),
            forms(found, declared, target.name, shape),
        )


def settings(config: Config) -> dict[str, object]:
    """Give what of the configuration decides on arguments, for its digest."""
    return {
        name: [sorted(it.arguments.items()), it.unknown_arguments]
        for name, it in sorted(config.connectors.items())
        if it.arguments or it.unknown_arguments == "allow"
    }
