"""Rights that nobody has used for a while: what is to be certified anew, or cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import UNSET, Struct

from bascule.audit.log_files import LogFiles
from bascule.audit.query import leaves
from bascule.audit.record import AuthzPart, Record, decode
from bascule.clock import UnixTime
from bascule.config.members import members_of
from bascule.config.model import Config
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
    """When policies allowed a call last, by their ids and who was allowed by them."""

    since: UnixTime
    begin: UnixTime | None = None
    """Of the first record that there is; None: there is none."""
    _last: dict[tuple[str, str], UnixTime] = field(default_factory=dict)

    def note(self, record: Record) -> None:
        """Take in one record."""
        authz = record.authz
        if not isinstance(authz, AuthzPart) or authz.decision != "allow":
            return
        when = UnixTime(record.ts // 1_000_000)
        members = tuple(_members(record))
        for policy in authz.policies:
            if policy.startswith(("role:", "grant:")):
                for member in members:
                    known = self._last.get((policy, member), when)
                    self._last[policy, member] = max(known, when)

    def last(self, policy: str, member: str) -> UnixTime | None:
        """Give when a policy last allowed a member something; None: it did not."""
        whom = [member, *([_SOMEBODY] if member.startswith("group:") else [])]
        found = [it for who in whom if (it := self._last.get((policy, who))) is not None]
        return max(found, default=None)


def uses_since(files: LogFiles, since: UnixTime) -> Uses:
    """Read what the log says of uses since then. Raises what reading tiles raises."""
    found = Uses(since)
    for _, leaf in leaves(files):
        if found.begin is not None and not (b'"role:' in leaf or b'"grant:' in leaf):
            continue
        record = decode(leaf)
        when = UnixTime(record.ts // 1_000_000)
        if found.begin is None:
            found.begin = when
        if when >= since:
            found.note(record)
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
        last = {entry: uses.last(f"grant:{it.id}/{entry}", member) for entry in it.entries}
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
            suffix = f"/{member}" if member.startswith("agent:") else ""
            last = {
                entry: uses.last(f"role:{name}/{entry}{suffix}", member)
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
