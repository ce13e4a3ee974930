"""How far rights reach: delegation of everything, and ways from one connector to another.

What is found is valid, and may be meant. It widens what one deceived agent can do: carry
what it reads at one connector to another, or anything at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.entries import Entry, EntryError, parse_entry
from bascule.decision.policy import Policy
from bascule.decision.problems import CONFIG_FILE, Problem, dotted

Reach = Literal["everything", "any_agent", "crossing"]


class Breadth(Struct, frozen=True):
    """One finding about how far rights reach."""

    reach: Reach
    """`everything`: all of every connector; `any_agent`: agents without a ceiling of their
    own may be used for all of a connector; `crossing`: one path to several connectors."""
    message: str
    where: tuple[str | int, ...] = ()
    """In the configuration file: keys that lead to the value."""
    policy: str = ""
    """`@id`, of one that somebody wrote."""


def breadth(config: Config, written: Mapping[str, Policy]) -> list[Breadth]:
    """Give what reaches far in a configuration and in its `.cedar` files.

    Conditions of policies are not weighed: one that has any is taken to be narrow.
    """
    return [
        *_everything(config),
        *_any_agent(config),
        *_written(config, written),
        *_crossing(config),
    ]


def breadth_problems(config: Config) -> list[Problem]:
    """Give as warnings what is hardly meant: all of every connector."""
    return [
        Problem(CONFIG_FILE, 0, "warning", f"{dotted(it.where)}: {it.message}", it.where)
        for it in breadth(config, {})
        if it.reach == "everything"
    ]


def _everything(config: Config) -> Iterator[Breadth]:
    """Find roles and ceilings of all there is; of one connector that may well be meant."""
    if len(config.connectors) < 2:
        return
    for name, role in config.roles.items():
        if _wholes(config, role.allow) >= set(config.connectors):
            where = ("roles", name, "allow")
            yield Breadth("everything", "gives all of every connector", where)
    for agent, entries in config.agents.ceilings.items():
        if _wholes(config, entries) >= set(config.connectors):
            where = ("agents", "ceilings", agent)
            yield Breadth("everything", "is no limit: all of every connector", where)


def _any_agent(config: Config) -> Iterator[Breadth]:
    """Find what agents may be used for that nobody has looked at."""
    entries = config.agents.default_ceiling
    wholes = _wholes(config, entries)
    where = ("agents", "default_ceiling")
    if len(config.connectors) > 1 and wholes >= set(config.connectors):
        message = "lets any agent be used for all of every connector"
        yield Breadth("everything", message, where)
    elif wholes:
        names = _listed(wholes)
        yield Breadth("any_agent", f"lets any agent be used for all of {names}", where)


def _written(config: Config, written: Mapping[str, Policy]) -> Iterator[Breadth]:
    """Find permits that no connector bounds."""
    if len(config.connectors) < 2:
        return
    for policy in written.values():
        unbounded = policy.resource.within is None and not policy.est["conditions"]
        if policy.effect == "permit" and unbounded:
            yield Breadth("crossing", "permits in every connector", policy=policy.id)


def _crossing(config: Config) -> Iterator[Breadth]:
    """Find who has rights at several connectors through one agent, or by one scope."""
    had = _by_member(config)
    users = [it for who, it in had.items() if not who.startswith("agent:")]
    ceilings = {**config.agents.ceilings, "": config.agents.default_ceiling}
    for agent, entries in ceilings.items():
        reached = _connectors(config, entries)
        ways = [it & reached for it in (*users, had.get(f"agent:{agent}", frozenset()))]
        crossed = frozenset().union(*(it for it in ways if len(it) > 1))
        if crossed:
            own = ("agents", "ceilings", agent)
            where = own if agent else ("agents", "default_ceiling")
            message = f"one agent may carry what it reads between {_listed(crossed)}"
            yield Breadth("crossing", message, where)
    for scope, entries in config.scopes.items():
        reached = _connectors(config, entries)
        if len(reached) > 1:
            message = f"covers {_listed(reached)}: make one for each"
            yield Breadth("crossing", message, ("scopes", scope))


def _by_member(config: Config) -> dict[str, frozenset[str]]:
    """Give the connectors at which each member of roles has some right, over all roles."""
    found: dict[str, frozenset[str]] = {}
    for role in config.roles.values():
        reached = _connectors(config, role.allow)
        for who, _ in members_of(role):
            found[who] = found.get(who, frozenset()) | reached
    return found


def _connectors(config: Config, entries: Iterable[str]) -> frozenset[str]:
    return frozenset(connector for connector, _ in _read(config, entries))


def _wholes(config: Config, entries: Iterable[str]) -> frozenset[str]:
    """Give the connectors of which entries cover every tool."""
    return frozenset(it for it, pattern in _read(config, entries) if pattern == "*")


def _read(config: Config, entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give connector and pattern of each entry on tools, toolsets opened."""
    for text in entries:
        for member in config.toolsets.get(text, (text,)):
            try:
                entry = parse_entry(member, where="")
            except EntryError:
                continue  # told elsewhere
            if entry.connector not in config.connectors:
                continue
            if isinstance(entry, Entry) and entry.kind in {None, "tool"}:
                yield entry.connector, entry.pattern


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names))
