"""Configuration and policies, read anew and checked as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bascule.app import files
from bascule.app.approved import read_gates
from bascule.app.granting import require_shared
from bascule.app.place import Place
from bascule.app.secret_references import refuse_exposed
from bascule.app.shadow import ShadowRights, read_shadow, with_shadow
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.config.rules import exposure_problems
from bascule.decision.problems import PolicyError
from bascule.decision.snapshot import (
    Gates,
    Grants,
    Snapshot,
    build_snapshot,
    with_gates,
    with_grants,
)
from bascule.decision.typed_policies import argument_problems
from bascule.decision.unknown_names import unknown_names
from bascule.errors import BasculeError
from bascule.storage import access_grants

log = logging.getLogger("bascule")


class ExposureError(BasculeError):
    """The configuration would expose the server by accident."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the configuration comes from, read anew on reload."""

    config_path: Path
    data_dir: Path
    read_config: Callable[[], Config]
    unsafe_cleartext: bool = False
    """Serve beyond loopback without TLS: the operator asked for it by that name."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with its policies, checked as a whole."""

    config: Config
    policies: Mapping[str, str]
    """Text of the policy files, by name."""
    snapshot: Snapshot
    shadow: ShadowRights | None = None
    """Rights to try out beside them."""


def load(sources: Sources) -> Loaded:
    """Read and check configuration and policies; nothing of it is approved yet.

    Raises `BasculeError`.
    """
    files.check_configuration_files(sources.config_path)
    config = sources.read_config()
    refuse_exposed(config)
    problems = exposure_problems(config)
    if problems and not sources.unsafe_cleartext:
        raise ExposureError("; ".join(problems))
    policies = files.read_policy_files(sources.config_path)
    return loaded_from(config, policies, shadow=read_shadow(sources.config_path, config))


def loaded_from(
    config: Config,
    policies: Mapping[str, str],
    gates: Gates | None = None,
    grants: Grants = (),
    shadow: ShadowRights | None = None,
) -> Loaded:
    """Compile a configuration and its policies; without gates nothing is approved.

    Raises `PolicyError`.
    """
    snapshot = build_snapshot(config, policies, gates, grants)
    return Loaded(config, policies, with_shadow(snapshot, shadow), shadow)


def with_state(loaded: Loaded, sources: Sources, place: Place, *, now: UnixTime) -> Loaded:
    """Give the same configuration with what is approved of it, and granted, by now.

    Raises `PolicyError` where a rule names what an approved surface lacks, or a policy does
    not fit the arguments of what is approved, and `GrantError`.
    """
    gates = read_gates(place, sources.config_path, loaded.config, now=now)
    grants = place.open_state().read(partial(access_grants.in_force, now=now))
    require_shared(loaded.config, grants)
    snapshot = with_grants(with_gates(loaded.snapshot, gates), grants)
    problems = [*unknown_names(loaded.config, snapshot), *argument_problems(snapshot)]
    if any(it.severity == "error" for it in problems):
        raise PolicyError(problems)
    for problem in problems:
        log.warning("%s", problem.message)
    return replace(loaded, snapshot=snapshot)


def require_same_server(before: Config, after: Config) -> None:
    """Refuse a reload that would need other sockets. Raises `BasculeError`."""
    if after.server != before.server:
        raise BasculeError("`[server]` has changed: restart to listen elsewhere")
    if after.vault != before.vault:
        raise BasculeError("`[vault]` has changed: restart to use other keys")
