"""The arguments of one call: checked, made canonical, and written for Cedar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bascule.decision.argument_forms import rewritten
from bascule.decision.argument_schema import ArgumentSchema, schema_of
from bascule.decision.argument_types import UnreadableError, cedar_arguments
from bascule.decision.canonical import AmbiguousError
from bascule.decision.facts import CallFacts, Denied, Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import Snapshot

_NONE: Mapping[str, Any] = {}


class Checked(Struct, frozen=True):
    """Arguments that may go on."""

    canonical: Mapping[str, Any]
    """To be sent; the very object that came when nothing had to be changed."""
    cedar: Mapping[str, Any]
    """Those that policies read, as Cedar's JSON values."""
    finding: Reason | None = None
    """What `enforce` would have refused for."""
    unfit: tuple[str, ...] = ()
    """`@id`s of policies that cannot decide on this tool; sorted."""


def check_arguments(
    facts: CallFacts, arguments: Mapping[str, Any], snapshot: Snapshot
) -> Checked | Denied:
    """Compare arguments with the approved schema, and make them ready to be decided on.

    What policies read is refused in every mode where it has two readings, or where Cedar
    cannot compare it: a rule that saw nothing would not apply.
    """
    if facts.kind != "tool":
        return Checked(arguments, _NONE)
    gate = snapshot.gates.get(facts.connector)
    schema = approved_schema(gate, facts)
    rules = snapshot.arguments
    complaint = None
    if schema is not None:
        allow_unknown = rules.allows_unknown(facts.connector)
        complaint = schema.complaint(arguments, allow_unknown=allow_unknown)
        if complaint is not None and gate is not None and gate.enforces:
            return _invalid(complaint)
    finding = None if complaint is None else Reason.INVALID_ARGUMENTS

    plan = rules.known(facts.connector, facts.name, schema)
    if plan is None:
        target = snapshot.target(facts.connector, "tool", facts.name)
        plan = rules.plan(target, schema)
    if not plan.wanted:
        return Checked(arguments, _NONE, finding)
    shape = None if schema is None or schema.problem else schema.shape
    try:
        canonical = rewritten(arguments, plan.forms)
        cedar = cedar_arguments(canonical, shape, plan.wanted)
    except (AmbiguousError, UnreadableError, RecursionError) as exc:
        return _invalid(str(exc))
    if schema is not None and finding is None and canonical is not arguments:
        # What is sent must fit as well as what came.
        complaint = schema.complaint(canonical, allow_unknown=True)
        if complaint is not None:
            return _invalid(complaint)
    return Checked(canonical, cedar, finding, plan.unfit)


def approved_schema(gate: Gate | None, facts: CallFacts) -> ArgumentSchema | None:
    """Give the approved schema of the definition that is served; None where none is."""
    if gate is None or facts.definition is None:
        return None
    pin = gate.tools.get(facts.name, {}).get(facts.definition)
    return None if pin is None else schema_of(pin.schema)


def _invalid(detail: str) -> Denied:
    return Denied(Reason.INVALID_ARGUMENTS, detail=detail)
