"""The snapshot: everything that a decision depends on beside the request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.argument_rules import ArgumentRules, settings
from bascule.decision.breadth import breadth_problems
from bascule.decision.call_approvals import compile_call_approvals
from bascule.decision.callers import Callers, Membership
from bascule.decision.compile import Compiled, compile_config, own_ceilings
from bascule.decision.concerns import Concerns
from bascule.decision.entries import TargetKind
from bascule.decision.flows import windows_of
from bascule.decision.gate import Gate, without_approval
from bascule.decision.granted import Granted, policies_of
from bascule.decision.memo import Memo
from bascule.decision.model import SCHEMA, Target, target_of, worst_pin
from bascule.decision.networks import Networks
from bascule.decision.policy_files import read_policy_files
from bascule.decision.problems import PolicyError, Problem
from bascule.decision.proofs import Proofs
from bascule.decision.rates import Rates
from bascule.decision.slices import Policies
from bascule.decision.toolsets import Toolsets

Gates = Mapping[str, Gate | None]
"""What was approved, by connector; None where nothing is compared."""
Grants = tuple[Granted, ...]
"""Rights outside of roles, in the order of their ids."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Policies and connectors in force; replaced whole on reload, never changed."""

    config_digest: str
    """SHA-256 (hex) of the whole configuration."""
    digest: str
    """SHA-256 (hex) of all that a decision depends on: same digest, same decisions."""
    rights_digest: str
    """SHA-256 (hex) of all of that but gates and grants."""
    gates_digest: str
    """SHA-256 (hex) of the gates."""
    connectors: frozenset[str]
    reachable_from: Mapping[str, Networks]
    """From where each connector may be used that says so."""
    standing: Policies
    """Without those of grants."""
    policies: Policies
    toolsets: Toolsets
    labels: Toolsets
    concerns: Concerns
    """What of flows and rates concerns which use."""
    arguments: ArgumentRules
    callers: Callers
    gates: Gates
    """One for each connector."""
    grants: Grants = ()
    shadow: Snapshot | None = None
    """Other rights on the same gates and grants, tried out and never in force."""
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)
    proofs: Proofs = field(default_factory=Proofs, repr=False, compare=False)

    def is_outside(self, connector: str, address: str | None) -> bool:
        """Tell whether a client's address is outside of the boundary of a connector.

        One whose boundary names no networks, and an address that is not known, are not.
        """
        networks = self.reachable_from.get(connector)
        return networks is not None and address is not None and not networks.holds(address)

    def target(self, connector: str, kind: TargetKind, name: str) -> Target:
        """Make a target that stands in all its toolsets, with what is known of it."""
        toolsets = self.toolsets.of(connector, kind, name)
        if kind != "tool":
            return target_of(connector, kind, name, toolsets)
        gate = self.gates.get(connector)
        pins = {} if gate is None else gate.tools.get(name, {})
        labels = self.labels.of(connector, kind, name)
        return target_of(connector, kind, name, toolsets, labels, worst_pin(pins.values()))


def build_snapshot(
    config: Config,
    policy_files: Mapping[str, str],
    gates: Gates | None = None,
    grants: Grants = (),
) -> Snapshot:
    """Compile a configuration and the text of its `.cedar` files, by file name.

    `gates`: one for each connector; without them nothing is approved. Raises
    `PolicyError` with every problem found, when one of them is an error.
    """
    compiled, problems = _compile(config, policy_files)
    if any(problem.severity == "error" for problem in problems):
        raise PolicyError(problems)
    members = _roles_by_member(config)
    capped = own_ceilings(config)
    networks = {
        name: it.boundary.reachable_from
        for name, it in config.connectors.items()
        if it.boundary.reachable_from
    }
    rights_digest = _sha256(
        {
            "schema": SCHEMA,
            # Where their servers are, too: nobody's consent is to a call of another one.
            "connectors": {
                name: (it.url, it.command) for name, it in config.connectors.items()
            },
            "reachable_from": networks,
            "policies": {it.id: it.est for it in compiled.policies.values()},
            "toolsets": {
                name: [it.text for it in held] for name, held in compiled.toolsets.items()
            },
            "labels": {
                name: [it.text for it in held] for name, held in compiled.labels.items()
            },
            "roles": members,
            "call_approvals": config.call_approvals,
            "ceilings": sorted(capped),
            "arguments": settings(config),
        }
    )
    policies, toolsets = Policies(compiled.policies.values()), Toolsets(compiled.toolsets)
    labels, rates = Toolsets(compiled.labels), Rates(config.rates, compiled.rates)
    made = Snapshot(
        config_digest=_sha256(config),
        digest="",
        rights_digest=rights_digest,
        gates_digest="",
        connectors=frozenset(config.connectors),
        reachable_from={name: Networks(held) for name, held in networks.items()},
        standing=policies,
        policies=policies,
        toolsets=toolsets,
        labels=labels,
        concerns=Concerns(policies, toolsets, labels, windows_of(config.flows), rates),
        arguments=ArgumentRules(policies, config.connectors),
        callers=Callers(members, capped),
        gates={},
    )
    gated = with_gates(made, without_approvals(config) if gates is None else gates)
    return with_grants(gated, grants)


def with_gates(snapshot: Snapshot, gates: Gates) -> Snapshot:
    """Give a snapshot with the same rights.

    What is remembered of them goes on as long as the approved tools are the same: policies
    may read what these say of themselves.
    """
    if gates.keys() != snapshot.connectors:
        raise ValueError("each connector has a gate, or None")
    same = _tools(gates) == _tools(snapshot.gates)
    memo = snapshot.memo if same else Memo()
    shadow = None if snapshot.shadow is None else with_gates(snapshot.shadow, gates)
    gated = replace(
        snapshot, gates_digest=_sha256(gates), gates=gates, shadow=shadow, memo=memo
    )
    return replace(gated, digest=_digest(gated))


def with_grants(snapshot: Snapshot, grants: Grants) -> Snapshot:
    """Give a snapshot with other rights outside of roles, and all else the same."""
    if grants == snapshot.grants:
        return snapshot
    own = (policy for granted in grants for policy in policies_of(granted))
    policies = snapshot.standing.plus(own) if grants else snapshot.standing
    shadow = None if snapshot.shadow is None else with_grants(snapshot.shadow, grants)
    granted = replace(
        snapshot, policies=policies, grants=grants, shadow=shadow, memo=Memo()
    )
    return replace(granted, digest=_digest(granted))


def _digest(snapshot: Snapshot) -> str:
    rights, gates = snapshot.rights_digest, snapshot.gates_digest
    return _sha256({"rights": rights, "gates": gates, "grants": snapshot.grants})


def _tools(gates: Gates) -> dict[str, object]:
    return {name: gate.tools for name, gate in gates.items() if gate and gate.tools}


def without_approvals(config: Config) -> Gates:
    """Give the gates of a configuration of which nothing is approved."""
    return {
        name: without_approval(connector.mode)
        for name, connector in config.connectors.items()
    }


def policy_problems(config: Config, policy_files: Mapping[str, str]) -> list[Problem]:
    """Give all errors and warnings, those of the configuration first."""
    return [*_compile(config, policy_files)[1], *breadth_problems(config)]


def _compile(
    config: Config, policy_files: Mapping[str, str]
) -> tuple[Compiled, list[Problem]]:
    compiled = compile_config(config)
    compile_call_approvals(config, compiled)
    written, problems = read_policy_files(policy_files, config)
    compiled.policies.update(written)
    return compiled, [*compiled.problems, *problems]


def _roles_by_member(config: Config) -> dict[str, list[Membership]]:
    found: dict[str, list[Membership]] = {}
    for name, role in sorted(config.roles.items()):
        for who, until in members_of(role):
            found.setdefault(who, []).append(Membership(name, until))
    return found


def _sha256(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
