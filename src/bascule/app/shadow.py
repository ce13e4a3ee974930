"""Rights that are tried out beside those in force; their faults stop nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from msgspec import Struct

from bascule.app.candidates import read_candidate, with_rights_of
from bascule.config.model import Config
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.errors import BasculeError

log = logging.getLogger("bascule")


class ShadowRights(Struct, frozen=True):
    """A configuration with other rights, and the text of its policy files by name."""

    config: Config
    policies: dict[str, str]


def read_shadow(config_path: Path, config: Config) -> ShadowRights | None:
    """Read the rights that a configuration wants tried out; None for none.

    When they cannot be read that is said, and nothing is tried out.
    """
    if not config.shadow.config:
        return None
    for path in shadow_files(config_path, config):
        if path.exists() and not path.is_file():  # reading a pipe could take for ever
            log.warning("shadow: nothing is tried out: `%s` is not a file", path)
            return None
    try:
        found = read_candidate(config_path.parent / config.shadow.config)
    except BasculeError as exc:
        log.warning("shadow: nothing is tried out: %s", exc)
        return None
    return ShadowRights(with_rights_of(config, found.config), dict(found.policies))


def shadow_files(config_path: Path, config: Config) -> list[Path]:
    """Give the files that the rights to try out come from."""
    if not config.shadow.config:
        return []
    path = config_path.parent / config.shadow.config
    folder = path if path.is_dir() else path.parent
    own = folder / "bascule.toml" if path.is_dir() else path
    return [own, *(folder / "policies").glob("*.cedar")]


def with_shadow(snapshot: Snapshot, shadow: ShadowRights | None) -> Snapshot:
    """Give a snapshot beside which other rights are tried out, if they can be."""
    if shadow is None:
        return snapshot
    try:
        tried = build_snapshot(
            shadow.config, shadow.policies, snapshot.gates, snapshot.grants
        )
    except BasculeError as exc:
        log.warning("shadow: nothing is tried out: %s", exc)
        return snapshot
    return replace(snapshot, shadow=tried)
