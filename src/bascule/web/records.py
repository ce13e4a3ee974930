"""What pages and endpoints write into the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Records(Protocol):
    """The log, as pages see it."""

    async def event(
        self,
        type: str,
        *,
        peer: str | None,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
        admin: Mapping[str, str] | None = None,
    ) -> None:
        """Write that something is about to happen; durable on return.

        Call it before what it records takes effect. `user` is `user:NAME`; `admin` holds
        what was done, names and values, no secrets; `peer` is None if nobody asked for it.
        Raises `LogUnavailableError`, and then it must not happen.
        """

    def failed(self, reason: str, *, peer: str, user: str | None = None) -> bool:
        """Note a failed authentication: the first of each source and minute in full.

        `user` only when there is one of that name: people type passwords into the wrong
        field. Tells whether there were too many from `peer`: answer 429 then.
        """
