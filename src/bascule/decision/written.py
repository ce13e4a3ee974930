"""All entries that a configuration is written in, each with its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from bascule.config.model import Config
from bascule.decision.entries import Entry, EntryError, ToolsetName, parse_entry
from bascule.decision.gate import DefinitionKind
from bascule.decision.problems import dotted
from bascule.decision.snapshot import Gates

Where = tuple[str | int, ...]


class Written(NamedTuple):
    """One list of entries; those that cannot be read are left out."""

    where: Where
    entries: tuple[tuple[Where, Entry | ToolsetName], ...]


def written_entries(config: Config) -> Iterator[Written]:
    """Give every list of entries of a configuration."""
    for name, texts in config.toolsets.items():
        yield _written(("toolsets", name), texts)
    for name, texts in config.labels.items():
        yield _written(("labels", name), texts)
    for name, role in config.roles.items():
        yield _written(("roles", name, "allow"), role.allow)
    yield _written(("agents", "default_ceiling"), config.agents.default_ceiling)
    for name, texts in config.agents.ceilings.items():
        yield _written(("agents", "ceilings", name), texts)
    for name, texts in config.scopes.items():
        yield _written(("scopes", name), texts)
    for name, rule in config.call_approvals.items():
        yield _written(("call_approvals", name, "tools"), rule.tools)
    for name, rate in config.rates.items():
        yield _written(("rates", name, "of"), rate.of)


def _written(where: Where, texts: Sequence[str]) -> Written:
    return Written(where, tuple(_read(where, texts)))


def _read(
    where: Where, texts: Sequence[str]
) -> Iterator[tuple[Where, Entry | ToolsetName]]:
    for at, text in enumerate(texts):
        place = (*where, at)
        try:
            yield place, parse_entry(text, where=dotted(place))
        except EntryError:
            continue


def members(config: Config, entry: Entry | ToolsetName) -> tuple[Entry, ...]:
    """Give an entry, or those of the toolset that it names."""
    if isinstance(entry, Entry):
        return (entry,)
    found = _written(("toolsets", entry.text), config.toolsets.get(entry.text, ()))
    return tuple(it for _, it in found.entries if isinstance(it, Entry))


def approved_names(
    gates: Gates, connector: str, kind: DefinitionKind
) -> Collection[str] | None:
    """Give the names on an approved surface; None where nothing is approved."""
    gate = gates.get(connector)
    if gate is None or gate.missing is not None:
        return None
    return gate.pins.get(kind, {}).keys()
