"""What policies and configuration say of the arguments of each tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from msgspec import Struct

from bascule.config.model import ArgumentForm, Config, Connector
from bascule.decision.argument_fit import complaints, may_be
from bascule.decision.argument_forms import Form, forms
from bascule.decision.argument_reads import Read, Wanted, reads, wanted
from bascule.decision.argument_schema import ArgumentSchema
from bascule.decision.argument_shapes import Shape
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, Target
from bascule.decision.policy import Policy
from bascule.decision.slices import Policies

_MAX_PLANS = 4096
_Key = tuple[str, str, int]
"""Connector, tool, and which schema."""


class Fit(Struct, frozen=True):
    """One policy that reads arguments, held against one tool."""

    policy: Policy
    reads: tuple[Read, ...]
    complaints: tuple[str, ...]
    """Why it does not fit the approved schema; none where nothing is approved."""


class Plan(Struct, frozen=True):
    """What is done with the arguments of one tool."""

    fits: tuple[Fit, ...]
    """The policies on it that read arguments, whoever calls."""

    wanted: Wanted
    """The arguments that these read."""
    forms: tuple[Form, ...]
    """How those among them are spelt that are compared with texts."""
    unfit: tuple[str, ...]
    """`@id`s of `forbid`s that do not fit the approved schema, sorted. It was approved
    after they were loaded, or they would not have been; they could fail to forbid."""


class ArgumentRules:
    """Gives the plan for each tool; a plan lasts as long as the policies do."""

    def __init__(self, policies: Policies, connectors: Mapping[str, Connector]) -> None:
        self._policies = policies
        self._declared = {name: it.arguments for name, it in connectors.items()}
        self._unknown_allowed = frozenset(
            name for name, it in connectors.items() if it.unknown_arguments == "allow"
        )
        self.are_read = any(it.arguments for it in policies.by_id.values())
        """Some policy, on whatever tool, reads arguments."""
        self._plans: dict[_Key, tuple[ArgumentSchema | None, Plan]] = {}

    def allows_unknown(self, connector: str) -> bool:
        """Whether arguments that a tool's schema does not have may pass."""
        return connector in self._unknown_allowed

    def declared(self, connector: str) -> Mapping[str, ArgumentForm]:
        """Give the forms that are declared, by `TOOL/ARGUMENT` or `ARGUMENT`."""
        return self._declared.get(connector, {})

    def plan(self, target: Target, schema: ArgumentSchema | None) -> Plan:
        """Give what is done with the arguments of a tool.

        `schema`: the approved one; None where nothing is approved.
        """
        known = self.known(target.connector, target.name, schema)
        if known is not None:
            return known
        plan = self._make(target, schema)
        if len(self._plans) >= _MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        # The schema is kept beside, so that no other can have its id.
        self._plans[target.connector, target.name, id(schema)] = (schema, plan)
        return plan

    def known(
        self, connector: str, tool: str, schema: ArgumentSchema | None
    ) -> Plan | None:
        """Give the plan that was made before; making a target costs more than this."""
        known = self._plans.get((connector, tool, id(schema)))
        return None if known is None else known[1]

    def _make(self, target: Target, schema: ArgumentSchema | None) -> Plan:
        actions = (USE_ACTIONS["tool"], ACT_ALONE)
        covering = chain.from_iterable(self._policies.on(it, target) for it in actions)
        policies = {it.id: it for it in covering if it.arguments}.values()
        found = [(it, tuple(reads(it.est["conditions"]))) for it in policies]
        every = [read for _, some in found for read in some]
        declared = self.declared(target.connector)
        shape = None if schema is None or schema.problem else schema.shape
        spelt = forms(every, declared, target.name, shape)
        fits = tuple(_fit(policy, some, shape, spelt) for policy, some in found)
        whole = any("*" in it.arguments for it in policies)
        unfit = (it.policy.id for it in fits if shape is not None and _is_unfit(it, shape))
        return Plan(fits, wanted(every, whole=whole), spelt, tuple(sorted(unfit)))


def _fit(
    policy: Policy, found: tuple[Read, ...], shape: Shape | None, spelt: Sequence[Form]
) -> Fit:
    if shape is None:
        return Fit(policy, found, ())
    return Fit(policy, found, tuple(complaints(policy, found, shape, spelt)))


def _is_unfit(fit: Fit, shape: Shape) -> bool:
    """Tell whether a `forbid` cannot decide on calls of a tool, or asks for what it lacks.

    One that is for several tools may ask for what some of them lack.
    """
    if fit.policy.effect != "forbid":
        return False
    alone = fit.policy.est["resource"]["op"] == "=="
    lacks = alone and not all(may_be(shape, it.place) for it in fit.reads)
    return lacks or bool(fit.complaints)


def settings(config: Config) -> dict[str, object]:
    """Give what of the configuration decides on arguments, for its digest."""
    return {
        name: [sorted(it.arguments.items()), it.unknown_arguments]
        for name, it in sorted(config.connectors.items())
        if it.arguments or it.unknown_arguments == "allow"
    }
