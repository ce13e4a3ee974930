"""Rights that nobody has used for a while: what is to be certified anew, or cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import UNSET, Struct

from bascule.app.recorded import recorded_call
from bascule.app.suggestion import covers
from bascule.audit.log_files import LogFiles
from bascule.audit.query import leaves
from bascule.audit.record import Record, decode
from bascule.clock import UnixTime
from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.decision.cells import Asked
from bascule.storage.access_grants import AccessGrant

_SOMEBODY = "group:"
"""Stands for all groups, where a record does not know in which its user was."""


class Unused(Struct, frozen=True):
    """A right of a role's member, or of a grant, that was not used."""

    grant: str | None
    role: str | None
    member: str
    """`user:…`, `group:…` or `agent:…`."""
    agent: str | None
    """Of a grant to a user: through which alone."""
    tools: tuple[str, ...]
    """The entries of it that were not used."""
    until: UnixTime | None
    """When it is over by itself."""
    last_used: UnixTime | None
    """When any of its entries was used; None: not as far back as was looked."""


@dataclass(slots=True)
class Uses:
    """What was used last, and when: by whom, and by which grant."""

    since: UnixTime
    begin: UnixTime | None = None
    """Of the first record that there is; None: there is none."""
    tools: dict[str, dict[Asked, UnixTime]] = field(default_factory=dict)
    """By member: `user:…`, `group:…` or `agent:…`."""
    grants: dict[str, UnixTime] = field(default_factory=dict)
    """By the id of a grant's policy."""

    def note(self, seq: int, record: Record) -> None:
        """Take in one record."""
        call = recorded_call(seq, record)
        if call is None or call.outcome != "allow":
            return
        facts = call.facts
        if facts.kind == "none":
            return
        asked = Asked(facts.connector, facts.kind, facts.name)
        for member in _members(record):
            used = self.tools.setdefault(member, {})
            used[asked] = max(used.get(asked, facts.now), facts.now)
        for policy in call.policies:
            if policy.startswith("grant:"):
                self.grants[policy] = max(self.grants.get(policy, facts.now), facts.now)

    def of(self, member: str) -> list[tuple[Asked, UnixTime]]:
        """Give what a member used."""
        whom = [member, *([_SOMEBODY] if member.startswith("group:") else [])]
        return [it for who in whom for it in self.tools.get(who, {}).items()]


def uses_since(files: LogFiles, since: UnixTime) -> Uses:
    """Read what the log says of uses since then. Raises what reading tiles raises."""
    found = Uses(since)
    for seq, leaf in leaves(files):
        if found.begin is not None and b'"allow"' not in leaf:
            continue
        record = decode(leaf)
        when = UnixTime(record.ts // 1_000_000)
        if found.begin is None:
            found.begin = when
        if when >= since:
            found.note(seq, record)
    return found


def unused(
    config: Config, grants: Iterable[AccessGrant], uses: Uses, *, now: UnixTime
) -> list[Unused]:
    """Give what was there all the time since then and was not used, entry by entry."""
    return [*_of_grants(grants, uses, now), *_of_roles(config, uses, now)]


def _of_grants(
    grants: Iterable[AccessGrant], uses: Uses, now: UnixTime
) -> Iterator[Unused]:
    for it in grants:
        given = it.decided_at
        if it.state(now) != "active" or given is None or given > uses.since:
            continue
        member = it.user or f"agent:{it.agent}"
        last = {entry: uses.grants.get(f"grant:{it.id}/{entry}") for entry in it.entries}
        cut = tuple(entry for entry, when in last.items() if when is None)
        if cut:
            agent = None if it.user is None else it.agent
            when = _latest(last.values())
            yield Unused(it.id, None, member, agent, cut, it.expires_at, when)


def _of_roles(config: Config, uses: Uses, now: UnixTime) -> Iterator[Unused]:
    for name, role in config.roles.items():
        for member, until in members_of(role):
            if until is not None and until <= now:
                continue
            used = uses.of(member)
            last = {
                entry: _latest(when for asked, when in used if covers(config, entry, asked))
                for entry in role.allow
            }
            cut = tuple(entry for entry, when in last.items() if when is None)
            if cut:
                when = _latest(last.values())
                yield Unused(None, name, member, None, cut, until, when)


def _latest(times: Iterable[UnixTime | None]) -> UnixTime | None:
    return max((it for it in times if it is not None), default=None)


def _members(record: Record) -> Iterator[str]:
    """Name those by whom a right was used: the user and its groups, or the agent."""
    user, agent = record.user, record.agent
    if user is not UNSET:
        prefix = "" if user.iss is UNSET else f"{user.iss}|"
        yield f"user:{prefix}{user.sub}"
        if user.groups is UNSET:
            yield _SOMEBODY
        else:
            yield from (f"group:{prefix}{name}" for name in user.groups)
    elif agent is not UNSET:
        prefix = "" if agent.iss is UNSET else f"{agent.iss}|"
        yield f"agent:{prefix}{agent.client_id}"
