"""Posture: which controls of the five promises are met, each by a probe that looked.

A control that no probe of this version looks at is `not_assessed`, and never met: nobody is
told that something is well because nothing was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

from msgspec import Struct

from bascule.config.model import Config
from bascule.decision.breadth import Breadth, Reach, breadth
from bascule.decision.gate import Gate
from bascule.decision.policy import Policy
from bascule.decision.policy_files import GENERATED
from bascule.decision.problems import dotted
from bascule.decision.snapshot import Snapshot

Promise = Literal["known", "entitled", "approved", "bounded", "traced"]
State = Literal["met", "not_met", "not_assessed"]


class Control(Struct, frozen=True):
    """One thing that a promise rests on."""

    promise: Promise
    id: str
    title: str
    """What is so when it is met."""
    state: State
    probe: str
    """What looked, or what would have to."""
    evidence: tuple[str, ...] = ()
    """Why it is not met, a sentence each."""
    fix: str = ""
    """What to do; empty when nothing is to be done."""


def controls(
    config: Config, snapshot: Snapshot, tests: tuple[State, str]
) -> Iterator[Control]:
    """Judge every control, promise by promise.

    `tests`: whether the cases of `policies/tests` come out as expected, and a sentence.
    """
    yield _not_assessed("known", "tokens", "no request passes without a token", "doctor")
    yield _not_assessed("known", "operator", "no agent runs as the operator's OS user", "")
    yield _shared(config, snapshot)
    reaching = breadth(config, _written(snapshot))
    yield from (_reach(of, reaching) for of in get_args(Reach))
    yield _tested(*tests)
    yield _destructive(snapshot)
    yield _approved(snapshot.gates)
    yield _not_assessed("bounded", "reach", "nothing is reached around the bridge", "")
    yield _copies(config)
    yield _not_assessed("traced", "log", "the log is whole", "audit verify")


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
    return _judged(
        "entitled",
        of,
        title,
        "rights in force",
        [f"{_place(it)}: {it.message}" for it in found if _is_of(it, of)],
        fix,
    )


def _is_of(found: Breadth, reach: Reach) -> bool:
    """Tell whether a control is about a finding; any agent may be let do everything."""
    of_any_agent = reach == "any_agent" and found.where == ("agents", "default_ceiling")
    return found.reach == reach or (of_any_agent and found.reach == "everything")


def _place(found: Breadth) -> str:
    return f"policy `{found.policy}`" if found.policy else f"`{dotted(found.where)}`"


def _tested(state: State, said: str) -> Control:
    evidence = (said,) if state == "not_met" else ()
    fix = "" if state == "met" else "write cases, see docs/how-to/test-policies.md"
    title = "cases say who may do what, and come out as expected"
    return Control("entitled", "tested", title, state, "policy test", evidence, fix)


def _destructive(snapshot: Snapshot) -> Control:
    """Find approved tools that destroy, and that no person has to agree to."""
    missing = []
    for connector, gate in snapshot.gates.items():
        for name in () if gate is None else gate.tools:
            target = snapshot.target(connector, "tool", name)
            covering = snapshot.policies.on("call_tool", target)
            if target.node.attributes["destructive"] and not any(map(_holds_all, covering)):
                missing.append(f"`{connector}/{name}` is destructive by its definition")
    return _judged(
        "entitled",
        "consent",
        "calls that destroy wait for a person",
        "definitions that were approved",
        missing,
        "set `destructive = true` in a table of `[call_approvals]`",
    )


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


def _shared(config: Config, snapshot: Snapshot) -> Control:
    """Find credentials under which many users change things as one."""
    found = []
    for name, connector in config.connectors.items():
        credential = connector.credential
        shared = credential.kind == "static" and credential.shared
        if shared and _may_change(snapshot.gates.get(name)):
            found.append(f"`connectors.{name}`: its users all act as one upstream")
    return _judged(
        "known",
        "credentials",
        "no shared credential changes things for several users",
        "configuration and approved definitions",
        found,
        "give each user a credential of their own, or share a read-only one",
    )


def _may_change(gate: Gate | None) -> bool:
    """Tell whether some tool is not known to be read-only."""
    pins = (
        [] if gate is None else [pin for of in gate.tools.values() for pin in of.values()]
    )
    return not pins or not all(pin.read_only for pin in pins)


def _approved(gates: Mapping[str, Gate | None]) -> Control:
    found = []
    for name, gate in gates.items():
        if gate is None or not gate.enforces:
            found.append(f"`{name}` is served without enforcement of its approval")
        elif gate.missing is not None:
            found.append(f"`{name}` {gate.problem or 'is not approved'}")
    return _judged(
        "approved",
        "enforced",
        "each connector is approved as it is locked, and nothing else is served",
        "lock and ledger",
        found,
        "`bascule verify --all` says what is missing",
    )


def _copies(config: Config) -> Control:
    found = [] if config.audit.copies else ["`audit.copies` names no place"]
    return _judged(
        "traced",
        "copies",
        "checkpoints leave this machine",
        "configuration",
        found,
        "set `audit.copies` to a folder that this machine cannot rewrite",
    )


def _judged(
    promise: Promise, id: str, title: str, probe: str, evidence: list[str], fix: str
) -> Control:
    if not evidence:
        return Control(promise, id, title, "met", probe)
    return Control(promise, id, title, "not_met", probe, tuple(evidence), fix)


def _not_assessed(promise: Promise, id: str, title: str, command: str) -> Control:
    probe = f"`bascule {command}`, not run by this command" if command else "none yet"
    return Control(promise, id, title, "not_assessed", probe)
