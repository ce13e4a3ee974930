"""Rights outside of roles, each for a time: as Cedar policies.

    grant:ID/ENTRY    what the grant's user may use, or its agent by itself

Like a role, a grant speaks of users and of `act_alone` only: it never lifts a ceiling or
widens a scope. Its policies read the time, so nobody has to take them away in time.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from bascule.clock import UnixTime
from bascule.decision.entries import EntryError, parse_entry
from bascule.decision.generated import ALONE, USE, before, head_eq, permit, through
from bascule.decision.policy import Policy


class Granted(Struct, frozen=True):
    """A grant that was decided, until it expires. What it says never changes."""

    id: str
    user: str | None
    """`user:…`; None: the agent may by itself."""
    agent: str | None
    """The agent through which alone the user may; None: any."""
    entries: tuple[str, ...]
    """As in `roles.*.allow`."""
    expires_at: UnixTime
    """From this second on it is over."""


@lru_cache(16_384)
def policies_of(granted: Granted) -> tuple[Policy, ...]:
    """Give a policy for each entry of a grant.

    One that cannot be read gives nothing, and keeps no other from being followed: entries
    are checked when they are asked for.
    """
    if granted.user is not None:
        who, action = head_eq("User", granted.user.removeprefix("user:")), USE
        bound = () if granted.agent is None else (through(granted.agent),)
    elif granted.agent is not None:
        who, action, bound = head_eq("Agent", granted.agent), ALONE, ()
    else:
        return ()
    found = []
    for text in dict.fromkeys(granted.entries):
        label = f"grant:{granted.id}/{text}"
        try:
            entry = parse_entry(text, where=label)
        except EntryError:
            continue
        found.append(permit(label, who, action, entry, before(granted.expires_at), *bound))
    return tuple(found)
