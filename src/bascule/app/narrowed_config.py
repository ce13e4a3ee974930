"""A configuration with other roles and ceilings, written beside the one in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from bascule.app.candidates import CONFIG_NAME
from bascule.app.files import read_text
from bascule.config.load import load
from bascule.config.model import Config
from bascule.errors import BasculeError


def write_narrowed(
    config_path: Path, config: Config, policies: Mapping[str, str], folder: Path
) -> None:
    """Make a folder with the configuration's text, the entries of `config`, the policies.

    Comments stay. Raises `BasculeError` when the folder exists or cannot be written.
    """
    text = narrowed_text(read_text(config_path), config)
    load(text, source=str(folder / CONFIG_NAME))
    try:
        (folder / "policies").mkdir(parents=True)
        (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
        for name, policy in policies.items():
            (folder / "policies" / Path(name).name).write_text(policy, encoding="utf-8")
    except OSError as exc:
        raise BasculeError(
            f"cannot write `{folder}`: {exc.strerror}; name a folder that does not exist"
        ) from exc


def narrowed_text(text: str, config: Config) -> str:
    """Put the entries of a configuration into the text of one with the same tables."""
    document: Any = tomlkit.parse(text)
    for name, role in config.roles.items():
        _put(document["roles"][name], "allow", role.allow)
    agents = document.get("agents", {})
    if "default_ceiling" in agents:
        _put(agents, "default_ceiling", config.agents.default_ceiling)
    for agent, entries in config.agents.ceilings.items():
        _put(agents["ceilings"], agent, entries)
    document.pop("shadow", None)
    return tomlkit.dumps(document)


def _put(table: Any, key: str, entries: tuple[str, ...]) -> None:
    """Set a list, unless it says so already."""
    if list(table.get(key, ())) != list(entries):
        table[key] = list(entries)
