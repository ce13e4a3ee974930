"""The least rights that cover what was used: roles and ceilings without what nobody used.

Entries are narrowed to the names that were used by them, and nothing else is touched: what
is left is a part of what was there, so that a suggestion can only take away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from bascule.app.usage import Usage
from bascule.clock import UnixTime
from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.cells import Asked
from bascule.decision.compile import own_ceilings
from bascule.decision.entries import RESERVED, EntryError, ToolsetName, parse_entry
from bascule.decision.policy_files import GENERATED
from bascule.decision.snapshot import Snapshot

MAX_RESOURCES = 20
"""URIs that one entry is narrowed to; one by which more were read stays as it is."""
EVERYBODY = "*"
"""Holds the default ceiling: every agent without one of its own."""

_Earlier = Iterable[tuple[str, Asked, UnixTime]]
"""Who used what when, before the window."""


class Cut(Struct, frozen=True):
    """An entry that a suggestion narrows, or leaves out."""

    table: str
    """`roles.NAME`, `agents.ceilings.CLIENT` or `agents.default_ceiling`."""
    entry: str
    kept: list[str]
    """Entries in its place; none where it was not used."""
    held_by: list[str]
    """Members of the role, or the agent; `*`: those without a ceiling of their own."""
    missed_by: list[str]
    """Who used what is cut before the window, and so may notice."""
    last_used: UnixTime | None
    """When that was; None: the log knows of no such use."""


class Idle(Struct, frozen=True):
    """What a role still allows somebody who did not use it: others in it did."""

    role: str
    user: str
    """Or `agent:…` for one that acts by itself."""
    entries: list[str]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Narrower rights, and what they lack of those of now."""

    config: Config
    """The configuration with other roles and ceilings."""
    cuts: list[Cut]
    idle: list[Idle]
    """Where a role of their own would be narrower."""
    unused: list[str]
    """Hand-written policies that permitted nothing that was used; they stay."""


def suggest(config: Config, live: Snapshot, usage: Usage) -> Suggestion:
    """Narrow roles and ceilings to what was used."""
    cuts: list[Cut] = []
    needed = _needed_of_roles(config, usage)
    roles = {}
    for name, role in config.roles.items():
        members = [it.who for it in members_of(role)]
        part = _Part(config, f"roles.{name}", members, _by_anybody(usage))
        allow, found = part.narrowed(role.allow, needed.get(name, set()))
        roles[name] = replace(role, allow=allow)
        cuts += found
    agents, ceilings = config.agents, {}
    for agent, entries in agents.ceilings.items():
        table = f"agents.ceilings.{agent}"
        part = _Part(config, table, [agent], _through(usage, [agent]))
        ceilings[agent], found = part.narrowed(entries, usage.agents.get(agent, set()))
        cuts += found
    capped = own_ceilings(config)
    others = [it for it in _agents(usage) if it not in capped]
    used = {asked for it in others for asked in usage.agents.get(it, ())}
    part = _Part(config, "agents.default_ceiling", [EVERYBODY], _through(usage, others))
    default, found = part.narrowed(agents.default_ceiling, used)
    narrower = replace(agents, default_ceiling=default, ceilings=ceilings)
    return Suggestion(
        replace(config, roles=roles, agents=narrower),
        [*cuts, *found],
        list(_idle(config, needed, usage)),
        _unused(live, usage),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One list of entries."""

    config: Config
    table: str
    held_by: list[str]
    earlier: list[tuple[str, Asked, UnixTime]]

    def narrowed(
        self, entries: Sequence[str], used: set[Asked]
    ) -> tuple[tuple[str, ...], list[Cut]]:
        """Give the entries that are left, and what becomes of those that are not."""
        left: dict[str, None] = {}
        cuts = []
        for text in entries:
            covered = [it for it in used if covers(self.config, text, it)]
            kept = _kept(text, sorted(covered))
            left |= dict.fromkeys(kept)
            if kept != [text]:
                cuts.append(self._cut(text, kept, covered))
        return tuple(left), cuts

    def _cut(self, text: str, kept: list[str], covered: Sequence[Asked]) -> Cut:
        missed = [
            (who, when)
            for who, asked, when in self.earlier
            if asked not in covered and covers(self.config, text, asked)
        ]
        return Cut(
            table=self.table,
            entry=text,
            kept=kept,
            held_by=self.held_by,
            missed_by=sorted({who for who, _ in missed}),
            last_used=max((when for _, when in missed), default=None),
        )


def _kept(text: str, covered: Sequence[Asked]) -> list[str]:
    """Give the narrowest entries for what was used by one."""
    resources = [it for it in covered if it.kind == "resource"]
    if len(resources) > MAX_RESOURCES or any(map(_cannot_be_named, covered)):
        return [text]
    return [it.entry for it in covered]


def _cannot_be_named(asked: Asked) -> bool:
    """Tell whether the entry that is to name it would mean something else."""
    return "*" in asked.name or (asked.kind == "tool" and asked.name.startswith(RESERVED))


def covers(config: Config, text: str, asked: Asked) -> bool:
    """Tell whether an entry covers something; what cannot be read covers nothing."""
    try:
        entry = parse_entry(text, where="")
    except EntryError:
        return False
    if isinstance(entry, ToolsetName):
        return any(covers(config, it, asked) for it in config.toolsets.get(text, ()))
    return entry.matches(*asked)


def _needed_of_roles(config: Config, usage: Usage) -> dict[str, set[Asked]]:
    """Give what each role must still allow.

    What several roles of somebody allow is left to one that must allow it anyway, else to
    the one with the fewest members.
    """
    needed: dict[str, set[Asked]] = {}
    several = []
    for (_, asked), roles in sorted(usage.roles.items()):
        if len(roles) == 1:
            needed.setdefault(next(iter(roles)), set()).add(asked)
        elif roles:
            several.append((asked, roles))
    for asked, roles in several:
        if not any(asked in needed.get(role, ()) for role in roles):
            few = min(roles, key=lambda it: (len(config.roles[it].members), it))
            needed.setdefault(few, set()).add(asked)
    return needed


def _idle(config: Config, needed: Mapping[str, set[Asked]], usage: Usage) -> Iterator[Idle]:
    used: dict[str, set[Asked]] = {}
    for who, asked in usage.roles:
        used.setdefault(who, set()).add(asked)
    for name, role in config.roles.items():
        people = {it.who for it in members_of(role) if not it.who.startswith("group:")}
        people |= {who for (who, _), roles in usage.roles.items() if name in roles}
        for who in sorted(people):
            rest = needed.get(name, set()) - used.get(who, set())
            if rest:
                yield Idle(name, who, sorted(it.entry for it in rest))


def _agents(usage: Usage) -> Iterator[str]:
    yield from dict.fromkeys((*usage.agents, *(agent for _, agent, _ in usage.before)))


def _by_anybody(usage: Usage) -> list[tuple[str, Asked, UnixTime]]:
    return [(who, asked, when) for (who, _, asked), when in usage.before.items()]


def _through(usage: Usage, agents: Sequence[str]) -> list[tuple[str, Asked, UnixTime]]:
    return [
        (agent, asked, when)
        for (_, agent, asked), when in usage.before.items()
        if agent in agents
    ]


def _unused(live: Snapshot, usage: Usage) -> list[str]:
    permits = (it.id for it in live.standing.by_id.values() if it.effect == "permit")
    used = usage.policies
    return sorted(it for it in permits if not it.startswith(GENERATED) and it not in used)
