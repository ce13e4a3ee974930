"""From the text of `bascule.toml` to a checked `Config`, with all its problems at once."""

from __future__ import annotations

import tomllib

import msgspec

from bascule.config.model import Config, Server
from bascule.config.rules import broken_rules
from bascule.config.shape import shape_problems
from bascule.errors import BasculeError


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a configuration."""

    path: str
    """Where, as TOML would write it: `connectors.time.url`; empty for the whole file."""
    message: str


class ConfigError(BasculeError):
    """The configuration cannot be used; `problems` says why."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        lines = "".join(f"\n  {it.path or source}: {it.message}" for it in problems)
        super().__init__(f"`{source}` is not valid:{lines}")
        self.problems = problems


def load(text: str, *, source: str) -> Config:
    """Read a configuration.

    Raises `ConfigError`, and nothing else for any text, with every problem that was found.
    No message holds a value that may be a secret in the wrong place.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(source, (Problem("", f"not valid TOML: {exc}"),)) from exc
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as exc:
        found = tuple(Problem(*it) for it in shape_problems(document, Config))
        raise ConfigError(source, found or (Problem("", str(exc)),)) from exc
    broken = tuple(Problem(*it) for it in broken_rules(config))
    if broken:
        raise ConfigError(source, broken)
    return config


def load_database(text: str, *, source: str) -> Server:
    """Read only where state and keys are, whatever else is wrong with a configuration.

    Raises `ConfigError` when it is no TOML.
    """
    try:
        server = tomllib.loads(text).get("server", {})
    except (ValueError, RecursionError) as exc:
        raise ConfigError(source, (Problem("", f"not valid TOML: {exc}"),)) from exc
    known = server if isinstance(server, dict) else {}
    database, key = known.get("database"), known.get("key_encryption")
    return Server(
        database=database if isinstance(database, str) else Server().database,
        key_encryption=key if isinstance(key, str) else None,
    )
