"""Rights: how far they reach, and whether cases hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from bascule.app.posture.control import Control, State, Subject
from bascule.config.model import Config
from bascule.decision.breadth import Breadth, Reach, breadth
from bascule.decision.policy import Policy
from bascule.decision.policy_files import GENERATED
from bascule.decision.problems import dotted
from bascule.decision.snapshot import Snapshot

TESTED = Subject(
    "entitled",
    "tested",
    "cases say who may do what, and come out as expected",
    "policy test",
    "write cases, see docs/how-to/test-policies.md",
)
CONSENT = Subject(
    "entitled",
    "consent",
    "calls that destroy wait for a person",
    "definitions that were approved",
    "set `destructive = true` in a table of `[call_approvals]`",
)
ARGUMENTS = Subject(
    "entitled",
    "arguments",
    "arguments that the approved schema does not have are refused",
    "configuration, lock and ledger",
    'take `unknown_arguments = "allow"` out, and approve the connector as it is locked',
)


def rights_controls(
    config: Config, snapshot: Snapshot, tests: tuple[State, str]
) -> Iterator[Control]:
    """Judge what rights give.

    `tests`: whether the cases of `policies/tests` come out as expected, and a sentence.
    """
    reaching = breadth(config, _written(snapshot))
    yield from (_reach(of, reaching) for of in get_args(Reach))
    state, said = tests
    yield TESTED.judged([said] if state == "not_met" else [])
    yield _consent(config, snapshot)
    yield ARGUMENTS.judged_of(config.connectors, _unchecked(config, snapshot))


def _written(snapshot: Snapshot) -> dict[str, Policy]:
    """Give the policies of `.cedar` files."""
    return {
        name: policy
        for name, policy in snapshot.standing.by_id.items()
        if not name.startswith(GENERATED)
    }


_REACH: Mapping[Reach, tuple[str, str]] = {
    "everything": (
        "no role, ceiling or policy gives all of every connector",
        "name toolsets in place of `CONNECTOR/*`; `bascule policy suggest` says which",
    ),
    "any_agent": (
        "an agent without a ceiling of its own may not be used for all of a connector",
        "narrow `agents.default_ceiling`, and give known agents ceilings of their own",
    ),
    "crossing": (
        "no agent and no scope leads from one connector to another",
        "give each agent a ceiling at one connector, or close the way out by a flow",
    ),
}


def _reach(of: Reach, found: Iterable[Breadth]) -> Control:
    title, fix = _REACH[of]
    subject = Subject("entitled", of, title, "rights in force", fix)
    return subject.judged(f"{_place(it)}: {it.message}" for it in found if _is_of(it, of))


def _is_of(found: Breadth, reach: Reach) -> bool:
    """Tell whether a control is about a finding; any agent may be let do everything."""
    of_any_agent = reach == "any_agent" and found.where == ("agents", "default_ceiling")
    return found.reach == reach or (of_any_agent and found.reach == "everything")


def _place(found: Breadth) -> str:
    return f"policy `{found.policy}`" if found.policy else f"`{dotted(found.where)}`"


def _consent(config: Config, snapshot: Snapshot) -> Control:
    """Judge it by what was approved; of what was not, nobody knows what destroys."""
    destroying = list(_destroying(snapshot))
    gates = ((name, snapshot.gates.get(name)) for name in config.connectors)
    unknown = [f"`{name}`" for name, gate in gates if gate is None or gate.missing]
    if unknown and not destroying:
        why = f"no definitions are approved of {', '.join(unknown)}"
        return CONSENT.unseen(why, "lock and approve them: `bascule approve NAME`")
    return CONSENT.judged_of(config.connectors, destroying)


def _destroying(snapshot: Snapshot) -> Iterator[str]:
    """Find approved tools that destroy, and that no person has to agree to."""
    for connector, gate in snapshot.gates.items():
        for name in () if gate is None else gate.tools:
            target = snapshot.target(connector, "tool", name)
            covering = snapshot.policies.on("call_tool", target)
            if target.node.attributes["destructive"] and not any(map(_holds_all, covering)):
                yield f"`{connector}/{name}` is destructive by its definition"


def _holds_all(policy: Policy) -> bool:
    """Tell whether every call of what a policy covers waits for a person, whoever calls.

    Each call is asked of its agent and of its token. Other conditions than those of
    `[call_approvals]` are not weighed: what has any may let some calls through.
    """
    for_all = policy.principal.within is None and policy.principal.type in {
        None,
        "Mcp::Agent",
        "Mcp::Token",
    }
    whole = not policy.is_open or policy.id.startswith("approval:")
    demands = policy.effect == "forbid" and policy.approval_rule is not None
    return demands and for_all and whole


def _unchecked(config: Config, snapshot: Snapshot) -> Iterator[str]:
    for name, connector in config.connectors.items():
        gate = snapshot.gates.get(name)
        if connector.unknown_arguments == "allow":
            yield f"`connectors.{name}` lets unknown arguments through"
        elif gate is None or not gate.enforces:
            yield f"`{name}` is served without enforcement, its arguments are not refused"
