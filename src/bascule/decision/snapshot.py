"""The snapshot: everything that a decision depends on beside the request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bascule.config.model import Config
from bascule.decision.callers import Callers
from bascule.decision.compile import Compiled, compile_config, own_ceilings
from bascule.decision.gate import Gate, without_approval
from bascule.decision.memo import Memo
from bascule.decision.model import SCHEMA
from bascule.decision.policy_files import read_policy_files
from bascule.decision.problems import PolicyError, Problem
from bascule.decision.slices import Policies
from bascule.decision.toolsets import Toolsets


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Policies and connectors in force; replaced whole on reload, never changed."""

    config_digest: str
    """SHA-256 (hex) of the whole configuration."""
    digest: str
    """SHA-256 (hex) of all that a decision depends on: same digest, same decisions."""
    connectors: frozenset[str]
    policies: Policies
    toolsets: Toolsets
    callers: Callers
    gates: Mapping[str, Gate | None]
    """What was approved, for each connector; None where nothing is compared."""
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)


def build_snapshot(
    config: Config,
    policy_files: Mapping[str, str],
    gates: Mapping[str, Gate] | None = None,
) -> Snapshot:
    """Compile a configuration and the text of its `.cedar` files, by file name.

    `gates`: of the connectors that are locked; the others have no approval. Raises
    `PolicyError` with every problem found, when one of them is an error.
    """
    compiled, problems = _compile(config, policy_files)
    if any(problem.severity == "error" for problem in problems):
        raise PolicyError(problems)
    members = _roles_by_member(config)
    capped = own_ceilings(config)
    every = {
        name: (gates or {}).get(name) or without_approval(connector.mode or "observe")
        for name, connector in config.connectors.items()
    }
    return Snapshot(
        config_digest=_sha256(config),
        digest=_sha256(
            {
                "schema": SCHEMA,
                "connectors": sorted(config.connectors),
                "policies": {it.id: it.est for it in compiled.policies.values()},
                "toolsets": {
                    name: [it.text for it in held]
                    for name, held in compiled.toolsets.items()
                },
                "roles": members,
                "ceilings": sorted(capped),
                "gates": every,
            }
        ),
        connectors=frozenset(config.connectors),
        policies=Policies(compiled.policies),
        toolsets=Toolsets(compiled.toolsets),
        callers=Callers(members, capped),
        gates=every,
    )


def policy_problems(config: Config, policy_files: Mapping[str, str]) -> list[Problem]:
    """Give all errors and warnings, those of the configuration first."""
    return _compile(config, policy_files)[1]


def _compile(
    config: Config, policy_files: Mapping[str, str]
) -> tuple[Compiled, list[Problem]]:
    compiled = compile_config(config)
    written, problems = read_policy_files(policy_files, config)
    compiled.policies.update(written)
    return compiled, [*compiled.problems, *problems]


def _roles_by_member(config: Config) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, role in sorted(config.roles.items()):
        for member in role.members:
            found.setdefault(member, []).append(name)
    return found


def _sha256(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
