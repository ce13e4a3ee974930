"""Who there is: users and agents, for tables of rights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.compile import BUILT_IN_AGENT
from bascule.decision.policy import Policy, walk
from bascule.storage import agents, foreigners, users
from bascule.storage.foreigners import Foreigner
from bascule.storage.store import Store


@dataclass(frozen=True, slots=True)
class KnownUser:
    """One that has an account here, or that somebody named: it would have these rights."""

    name: str
    """`user:alice`, or `user:ISSUER|SUB`."""
    groups: frozenset[str] = frozenset()
    """`group:…`; those of a foreign user are known from its tokens alone."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """One that is registered, or that the configuration names."""

    client_id: str
    disabled: bool = False


def known_users(
    store: Store, config: Config, policies: Iterable[Policy] = ()
) -> list[KnownUser]:
    """Give local accounts and the users that roles or policies name, by name."""
    found = {
        f"user:{it.name}": KnownUser(
            f"user:{it.name}",
            frozenset(f"group:{group}" for group in it.groups),
            it.disabled,
        )
        for it in store.read(users.every)
    }
    shut_out = store.read(foreigners.every)
    written = (f"user:{it}" for it in _named("Mcp::User", policies))
    for name in (*_members(config, "user:"), *written):
        if name not in found:
            found[name] = KnownUser(name, disabled=Foreigner("user", name) in shut_out)
    return [found[name] for name in sorted(found)]


def known_agents(
    store: Store, config: Config, policies: Iterable[Policy] = ()
) -> list[KnownAgent]:
    """Give the built-in agent, registered ones, and those that somebody has named."""
    found = {it.client_id: it.disabled for it in store.read(agents.every)}
    shut_out = {it.key for it in store.read(foreigners.every) if it.kind == "agent"}
    named = (it.removeprefix("agent:") for it in _members(config, "agent:"))
    written = _named("Mcp::Agent", policies)
    for name in (BUILT_IN_AGENT, *config.agents.ceilings, *named, *written):
        found.setdefault(name, name in shut_out)
    return [KnownAgent(name, found[name]) for name in sorted(found)]


def _named(kind: str, policies: Iterable[Policy]) -> Iterator[str]:
    for policy in policies:
        for node in walk([policy.est["principal"], policy.est["conditions"]]):
            if node.get("type") == kind and isinstance(node.get("id"), str):
                yield node["id"]


def _members(config: Config, prefix: str) -> Iterator[str]:
    for role in config.roles.values():
        for member in members_of(role):
            if member.who.startswith(prefix) and member.who != prefix:
                yield member.who
