"""How often one operation has led a user to give a server more rights.

Each step is a page that lists what is new, so that nothing widens by itself; but a server
that always wants more must not send its users there for ever (MCP 2026-07-28: retry a few
times at most, and track attempts for each resource and operation).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from bascule.clock import monotonic
from bascule.oauthclient.scopes import MAX_STEP_UPS

FORGET_SECONDS = 3600.0
MAX_KEPT = 10_000
"""Operations; the oldest go first."""


@dataclass(slots=True)
class _Refused:
    since: float
    accounts: set[str] = field(default_factory=set)


class StepUps:
    """Those of one process, in memory."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, _Refused] = {}

    def may_ask(self, operation: Hashable, account_id: str) -> bool:
        """Note that an operation was refused with an account; tell whether to ask for more.

        Each time that a user connects there is another account: that counts, not how often
        an agent has tried meanwhile.
        """
        now = monotonic()
        kept = self._refused.get(operation)
        if kept is None or now >= kept.since + FORGET_SECONDS:
            self._refused.pop(operation, None)
            kept = self._refused[operation] = _Refused(now)
            if len(self._refused) > MAX_KEPT:
                del self._refused[next(iter(self._refused))]
        if account_id in kept.accounts:
            return True
        if len(kept.accounts) == MAX_STEP_UPS:
            return False
        kept.accounts.add(account_id)
        return True
