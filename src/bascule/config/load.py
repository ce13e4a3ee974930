"""From the text of `bascule.toml` to a checked `Config`, with all its problems at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bascule.config import rules
from bascule.config.model import Config, Connector, Issuer, Role
from bascule.errors import BasculeError

_TABLES_OF: Mapping[str, type] = {"connectors": Connector, "roles": Role, "issuers": Issuer}


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a configuration."""

    path: str
    """Where, as TOML would write it: `connectors.time.url`."""
    message: str


class ConfigError(BasculeError):
    """The configuration cannot be used; `problems` says why."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        lines = "".join(f"\n  {it.path or source}: {it.message}" for it in problems)
        super().__init__(f"`{source}` is not valid:{lines}")
        self.problems = problems


def load(text: str, *, source: str) -> Config:
    """Read a configuration. Raises `ConfigError` with every problem that was found."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(source, (Problem("", f"not valid TOML: {exc}"),)) from exc
    problems = list(_shape_problems(document))
    if problems:
        raise ConfigError(source, tuple(problems))
    config = msgspec.convert(document, Config)
    found = tuple(Problem(path, message) for path, message in rules.problems(config))
    if found:
        raise ConfigError(source, found)
    return config


def _shape_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """Convert each table apart, since a conversion stops at its first problem."""
    for name, value in document.items():
        entry = _TABLES_OF.get(name)
        if entry is None or not isinstance(value, dict):
            yield from _converted({name: value}, Config, "")
            continue
        for key, table in value.items():
            if entry is Connector:
                yield from _name_problem(key)
            yield from _converted(table, entry, f"{name}.{key}")


def _name_problem(name: str) -> Iterator[Problem]:
    if not rules.is_connector_name(name):
        yield Problem(
            f"connectors.{name}",
            "a connector's name has lower-case letters, digits and inner hyphens, "
            "32 characters at most",
        )


def _converted(value: Any, kind: Any, prefix: str) -> Iterator[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        message, _, place = str(exc).partition(" - at `$")
        path = place.rstrip("`").removeprefix(".")
        joined = f"{prefix}.{path}" if prefix and path else prefix or path
        yield Problem(joined, message[:1].lower() + message[1:])
