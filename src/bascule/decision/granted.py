"""Rights outside of roles, each for a time: as Cedar policies.

    grant:ID/ENTRY    what the grant's user may use, or its agent by itself

Like a role, a grant speaks of users and of `act_alone` only: it never lifts a ceiling or
widens a scope.
"""

from __future__ import annotations

from msgspec import Struct

from bascule.clock import UnixTime


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
