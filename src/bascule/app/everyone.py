"""Whose rights two configurations are compared for, and rights to what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from bascule.app.candidates import Candidate
from bascule.app.catalogue import known_agents, known_users
from bascule.app.policy_tests import gates_as_approved
from bascule.app.tools import locked_tools
from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.cells import Asked, Person
from bascule.decision.compile import BUILT_IN_AGENT, BUILT_IN_SCOPE
from bascule.decision.entries import Entry, EntryError, parse_entry
from bascule.decision.rights import OTHER_AGENT
from bascule.decision.rights_diff import Everyone
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.storage.store import Store

ANYBODY = Person("(anybody)", "user:(anybody)")
"""A user in no group and no role, whom no policy names."""


def everyone(candidates: Sequence[Candidate], store: Store | None) -> Everyone:
    """Give everybody and everything that one of the configurations knows.

    Beside the users of the state and those that roles name there is one for each group, in
    that group alone, one for each role, as in `snapshot_with_probes`, and `ANYBODY`. Tools
    are those of the lock; of a connector without one, those that entries name. Raises
    `LockError`.
    """
    configs = [it.config for it in candidates]
    users: dict[str, Person] = {}
    agents = {BUILT_IN_AGENT: None, OTHER_AGENT: None}
    for config in configs:
        if store is not None:
            for user in known_users(store, config):
                if not user.disabled:
                    users[user.name] = Person(user.name, user.name, user.groups)
            found = (it.client_id for it in known_agents(store, config) if not it.disabled)
            agents |= dict.fromkeys(found)
        agents |= dict.fromkeys(config.agents.ceilings)
        for person in _named(config):
            users.setdefault(person.label, person)
        members = _members(config, "agent:")
        agents |= dict.fromkeys(it.removeprefix("agent:") for it in members)
    scopes: dict[str, None] = {it: None for config in configs for it in config.scopes}
    scopes |= {
        f"{BUILT_IN_SCOPE}{it}": None for config in configs for it in config.connectors
    }
    targets = {it: None for candidate in candidates for it in _targets(candidate)}
    return Everyone(
        users=(*users.values(), ANYBODY),
        agents=tuple(agents),
        scopes=tuple(scopes),
        targets=tuple(targets),
    )


def snapshot_with_probes(candidate: Candidate) -> Snapshot:
    """Compile a candidate whole, as if all that is locked beside it were approved.

    Each role has one more member, made up, whom `everyone` asks about. Raises
    `PolicyError`, `LockError`.
    """
    roles = {
        name: replace(role, members=(*role.members, _probe(name).user))
        for name, role in candidate.config.roles.items()
    }
    config = replace(candidate.config, roles=roles)
    gates = gates_as_approved(candidate.path, config)
    return build_snapshot(config, candidate.policies, gates)


def _probe(role: str) -> Person:
    return Person(f"role:{role}", f"user:role:{role}")


def _named(config: Config) -> Iterator[Person]:
    """Give the people whom roles name."""
    yield from (Person(it, it) for it in _members(config, "user:"))
    for group in _members(config, "group:"):
        yield Person(group, f"user:{group}", frozenset((group,)))
    yield from map(_probe, config.roles)


def _members(config: Config, prefix: str) -> Iterator[str]:
    for role in config.roles.values():
        yield from (it.who for it in members_of(role) if it.who.startswith(prefix))


def _targets(candidate: Candidate) -> Iterator[Asked]:
    locked = locked_tools(candidate.path, candidate.config)
    for connector, tools in locked.items():
        yield from (Asked(connector, "tool", tool) for tool in tools)
    for entry in _entries(candidate.config):
        unlocked = entry.kind != "tool" or entry.connector not in locked
        if entry.kind is not None and not entry.is_glob and unlocked:
            yield Asked(entry.connector, entry.kind, entry.pattern)


def _entries(config: Config) -> Iterator[Entry]:
    """Give all entries; what cannot be read is told when it is compiled."""
    tables: Iterable[Iterable[str]] = (
        *config.toolsets.values(),
        *(role.allow for role in config.roles.values()),
        config.agents.default_ceiling,
        *config.agents.ceilings.values(),
        *config.scopes.values(),
    )
    for texts in tables:
        for text in texts:
            try:
                entry = parse_entry(text, where="")
            except EntryError:
                continue
            if isinstance(entry, Entry):
                yield entry
