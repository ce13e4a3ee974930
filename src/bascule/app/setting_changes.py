"""What differs between two configurations beside policies, and yet decides on calls.

How many must consent, how long a flow is closed, how many calls there are: nothing of it
is in the text of a policy, so a comparison of rights alone would call two of them equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from bascule.config.model import Config

_TABLES = ("call_approvals", "flows", "issuers", "labels", "rates")
_OF_CONNECTORS = ("arguments", "mode", "unknown_arguments")


class SettingChange(Struct, frozen=True):
    """One setting that is not the same in both."""

    path: str
    """As `rates.mails.calls`."""
    before: str | None
    """As JSON; None where it is not set."""
    after: str | None


def setting_changes(before: Config, after: Config) -> list[SettingChange]:
    """Give the settings that are new, gone or different, by path."""
    old, new = dict(_settings(before)), dict(_settings(after))
    return [
        SettingChange(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _settings(config: Config) -> Iterator[tuple[str, str]]:
    for table in _TABLES:
        for name, value in getattr(config, table).items():
            yield from _fields(f"{table}.{name}", value)
    for name, connector in config.connectors.items():
        for key in _OF_CONNECTORS:
            yield from _fields(f"connectors.{name}.{key}", getattr(connector, key))


def _fields(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Write each field; the order of a list means nothing in any of them."""
    if isinstance(value, Struct):
        for key in value.__struct_fields__:
            yield from _fields(f"{path}.{key}", getattr(value, key))
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _fields(f"{path}.{key}", each)
    elif value is not None:
        known = sorted(value) if isinstance(value, tuple) else value
        yield path, msgspec.json.encode(known).decode()
