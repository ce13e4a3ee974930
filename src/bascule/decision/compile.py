"""Roles, ceilings, scopes and toolsets of the configuration, as Cedar policies.

Each entry of each table becomes one policy whose `@id` says where it comes from:

    role:ROLE/ENTRY                 what the role's users may use
    role:ROLE/ENTRY/agent:CLIENT    what an agent in the role may do by itself
    ceiling:CLIENT/ENTRY            the most that an agent may use; `*` for all others
    scope:SCOPE/ENTRY               the most that a token may be used for

What flows close is in `flows`.

A role speaks of users and of `act_alone` only, so it never widens a ceiling; a ceiling
speaks of `use` only, so it never lets an agent act by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bascule.clock import UnixTime
from bascule.config.members import Member, later, members_of
from bascule.config.model import Config
from bascule.decision.entries import Entry, EntryError, ToolsetName, parse_entry
from bascule.decision.flows import flow_policies
from bascule.decision.generated import ALONE, USE, before, head_eq, head_is, permit
from bascule.decision.model import DEFAULT_CEILING, uid
from bascule.decision.policy import Policy
from bascule.decision.problems import CONFIG_FILE, Problem, dotted

BUILT_IN_AGENT = "bascule-cli"
"""Client id of the command line itself; its ceiling is everything unless configured."""
BUILT_IN_SCOPE = "mcp:"
"""Before a connector's name: the scope that covers at most all of it."""

Where = tuple[str | int, ...]
_label = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(slots=True)
class Compiled:
    """What comes of a configuration, and what is wrong with it."""

    policies: dict[str, Policy] = field(default_factory=dict)
    toolsets: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    labels: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    rates: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    """What counts in each."""
    problems: list[Problem] = field(default_factory=list)

    def add(self, policy: Policy, where: Where) -> None:
        """Add a generated policy; two with one id would silently be one."""
        if policy.id in self.policies:
            self.error(where, f"a second policy would be called `{policy.id}`: rename one")
        self.policies[policy.id] = policy

    def error(self, where: Where, message: str) -> None:
        """Note what must be put right."""
        text = f"{dotted(where)}: {message}"
        self.problems.append(Problem(CONFIG_FILE, 0, "error", text, where))

    def warn(self, where: Where, message: str) -> None:
        """Note what is hardly meant."""
        text = f"{dotted(where)}: {message}"
        self.problems.append(Problem(CONFIG_FILE, 0, "warning", text, where))


def compile_config(config: Config) -> Compiled:
    """Compile all tables; finds every problem rather than the first."""
    compiled = Compiled()
    for name, texts in config.toolsets.items():
        _compile_toolset(config, name, texts, compiled)
    for name, texts in config.labels.items():
        _compile_label(config, name, texts, compiled)
    for name, role in config.roles.items():
        _compile_role(config, name, compiled)
        if not role.members:
            compiled.warn(("roles", name), "nobody can have it: it has no members")
    _compile_ceilings(config, compiled)
    _compile_scopes(config, compiled)
    for policy, where in flow_policies(config.flows, compiled.labels):
        compiled.add(policy, where)
    for name, rate in config.rates.items():
        where = ("rates", name, "of")
        compiled.rates[name] = _expanded(config, where, rate.of, compiled)
    return compiled


def _compile_toolset(
    config: Config, name: str, texts: Sequence[str], compiled: Compiled
) -> None:
    where = ("toolsets", name)
    try:
        named = parse_entry(name, where=dotted(where))
    except EntryError as exc:
        compiled.problems.append(Problem(CONFIG_FILE, 0, "error", str(exc), where))
        return
    if not isinstance(named, ToolsetName):
        compiled.error(where, "is not of the form `CONNECTOR:NAME`")
        return
    if named.connector not in config.connectors:
        compiled.error(where, f"connector `{named.connector}` does not exist")
    members = []
    for place, entry in entries(config, (*where,), texts, compiled):
        if isinstance(entry, ToolsetName):
            compiled.error(place, f"`{entry.text}` is a toolset: write out what it holds")
        elif entry.connector != named.connector:
            compiled.error(place, f"`{entry.text}` is not of connector `{named.connector}`")
        else:
            members.append(entry)
    compiled.toolsets[name] = tuple(members)


def _compile_label(
    config: Config, name: str, texts: Sequence[str], compiled: Compiled
) -> None:
    where = ("labels", name)
    if not _label.fullmatch(name):
        compiled.error(where, "is not of lower-case letters, digits and inner hyphens")
    compiled.labels[name] = _expanded(config, where, texts, compiled)


def _expanded(
    config: Config, where: Where, texts: Sequence[str], compiled: Compiled
) -> tuple[Entry, ...]:
    """Give the good entries, with the members of toolsets in their place."""
    found: list[Entry] = []
    for _, entry in entries(config, where, texts, compiled):
        if isinstance(entry, ToolsetName):
            found += compiled.toolsets.get(entry.text, ())
        else:
            found.append(entry)
    return tuple(found)


def _compile_role(config: Config, name: str, compiled: Compiled) -> None:
    role = config.roles[name]
    agents = _agents(members_of(role))
    users = head_is("User", uid("Role", name))
    for where, entry in entries(config, ("roles", name, "allow"), role.allow, compiled):
        label = f"role:{name}/{entry.text}"
        compiled.add(permit(label, users, USE, entry), where)
        for agent, until in agents.items():
            timed = () if until is None else (before(until),)
            name_of = f"{label}/agent:{agent}"
            alone = permit(name_of, head_eq("Agent", agent), ALONE, entry, *timed)
            compiled.add(alone, where)


def _agents(members: Iterable[Member]) -> dict[str, UnixTime | None]:
    """Give the agents among members, and until when; None: for ever."""
    found: dict[str, UnixTime | None] = {}
    for who, until in members:
        kind, _, agent = who.partition(":")
        if kind == "agent" and agent:
            found[agent] = later(found.get(agent, until), until)
    return found


def _compile_ceilings(config: Config, compiled: Compiled) -> None:
    others = head_is("Agent", uid("Ceiling", DEFAULT_CEILING))
    default = config.agents.default_ceiling
    for where, entry in entries(config, ("agents", "default_ceiling"), default, compiled):
        compiled.add(permit(f"ceiling:*/{entry.text}", others, USE, entry), where)
    for agent, texts in config.agents.ceilings.items():
        for where, entry in entries(config, ("agents", "ceilings", agent), texts, compiled):
            head = head_eq("Agent", agent)
            compiled.add(permit(f"ceiling:{agent}/{entry.text}", head, USE, entry), where)
    if BUILT_IN_AGENT not in config.agents.ceilings:
        head = head_eq("Agent", BUILT_IN_AGENT)
        compiled.add(permit(f"ceiling:{BUILT_IN_AGENT}/*", head, USE, None), ("agents",))


def own_ceilings(config: Config) -> frozenset[str]:
    """Name the agents that the default ceiling is not for."""
    return frozenset((BUILT_IN_AGENT, *config.agents.ceilings))


def _compile_scopes(config: Config, compiled: Compiled) -> None:
    for scope, texts in config.scopes.items():
        if scope.startswith(BUILT_IN_SCOPE):
            compiled.error(("scopes", scope), "scopes that begin with `mcp:` are built in")
            continue
        for where, entry in entries(config, ("scopes", scope), texts, compiled):
            compiled.add(_scope_permit(scope, entry), where)
    for connector in config.connectors:
        everything = Entry(f"{connector}/*", connector, None, "*")
        policy = _scope_permit(f"{BUILT_IN_SCOPE}{connector}", everything)
        compiled.add(policy, ("connectors", connector))


def _scope_permit(scope: str, entry: Entry | ToolsetName) -> Policy:
    head = head_is("Token", uid("Scope", scope))
    return permit(f"scope:{scope}/{entry.text}", head, USE, entry)


def entries(
    config: Config, where: Where, texts: Sequence[str], compiled: Compiled
) -> Iterator[tuple[Where, Entry | ToolsetName]]:
    """Give the good entries, each once, and note what is wrong with the others."""
    seen: set[str] = set()
    for n, text in enumerate(texts):
        place = (*where, n)
        try:
            entry = parse_entry(text, where=dotted(place))
        except EntryError as exc:
            compiled.problems.append(Problem(CONFIG_FILE, 0, "error", str(exc), place))
            continue
        if entry.connector not in config.connectors:
            compiled.error(place, f"connector `{entry.connector}` does not exist")
        elif isinstance(entry, ToolsetName) and entry.text not in config.toolsets:
            compiled.error(place, f"toolset `{entry.text}` does not exist")
        elif text in seen:
            compiled.warn(place, f"`{text}` stands here already")
        else:
            seen.add(text)
            yield place, entry
