"""Members of roles, for ever or for a time."""

from __future__ import annotations

from typing import NamedTuple

from bascule.clock import UnixTime
from bascule.config.model import Role


class Member(NamedTuple):
    """A member of a role, however it is written."""

    who: str
    """`user:…`, `group:…` or `agent:…`."""
    until: UnixTime | None
    """The second from which on it is none; None: it stays one."""


def members_of(role: Role) -> tuple[Member, ...]:
    """Give the members of a role, in their order."""
    return tuple(
        Member(it, None)
        if isinstance(it, str)
        else Member(it.who, UnixTime(int(it.until.timestamp())))
        for it in role.members
    )


def later(one: UnixTime | None, other: UnixTime | None) -> UnixTime | None:
    """Give the later of two ends; None is no end."""
    return None if one is None or other is None else max(one, other)
