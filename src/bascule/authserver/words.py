"""Scopes and ceilings as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bascule.config.model import Config
from bascule.identity.resource import baseline_scope


def scope_in_words(config: Config, connector: str, scope: str) -> tuple[str, ...]:
    """Say what scopes of a connector reach at most."""
    names = scope.split()
    if baseline_scope(connector) in names:
        return (f"everything of {connector} that you may use yourself",)
    entries = (entry for name in names for entry in config.scopes.get(name, ()))
    return _in_words(config, connector, entries)


def ceiling_in_words(config: Config, connector: str, client_id: str) -> tuple[str, ...]:
    """Say what the operator lets a client do at most, whoever uses it."""
    agents = config.agents
    entries = agents.ceilings.get(client_id, agents.default_ceiling)
    return _in_words(config, connector, entries)


def _in_words(config: Config, connector: str, entries: Iterable[str]) -> tuple[str, ...]:
    """Say entries as in `roles.*.allow`, those of one connector, each once."""
    return tuple(dict.fromkeys(_each(config, connector, entries)))


def _each(config: Config, connector: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in entries:
        if entry in config.toolsets:
            if entry.startswith(f"{connector}:"):
                yield from _each(config, connector, config.toolsets[entry])
            continue
        owner, slash, what = entry.partition("/")
        if slash and owner == connector:
            yield _one(connector, what)


def _one(connector: str, what: str) -> str:
    if what == "*":
        return f"everything of {connector}"
    kind, colon, name = what.partition(":")
    if colon and kind in {"prompt", "resource"}:
        return f"the {kind} {name}"
    return f"the tool {what}" if "*" not in what else f"tools named {what}"
