"""Candidates: configurations that are not in force, of which only the rights count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from bascule.app.files import read_policy_files, read_text
from bascule.config.load import load
from bascule.config.model import Config
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.errors import BasculeError

CONFIG_NAME = "bascule.toml"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration and the policies beside it, as they were read."""

    path: Path
    config: Config
    policies: Mapping[str, str]
    """Text of the policy files, by path."""


def read_candidate(path: Path) -> Candidate:
    """Read a configuration file, or the `bascule.toml` of a folder.

    Raises `BasculeError`.
    """
    file = path / CONFIG_NAME if path.is_dir() else path
    if not file.exists():
        raise BasculeError(f"`{file}` does not exist: name a configuration, or its folder")
    return Candidate(file, load(read_text(file), source=str(file)), read_policy_files(file))


def with_rights_of(config: Config, other: Config) -> Config:
    """Give a configuration with the rights of another: all else stays."""
    return replace(
        config,
        toolsets=other.toolsets,
        labels=other.labels,
        roles=other.roles,
        agents=other.agents,
        scopes=other.scopes,
        call_approvals=other.call_approvals,
        flows=other.flows,
    )


def snapshot_with_rights_of(
    config: Config, candidate: Candidate, live: Snapshot
) -> Snapshot:
    """Compile the rights of a candidate on what is approved and granted now.

    Raises `PolicyError`.
    """
    changed = with_rights_of(config, candidate.config)
    return build_snapshot(changed, candidate.policies, live.gates, live.grants)
