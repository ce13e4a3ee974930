"""Ends calls that nobody decided or made in time, and says so in the log."""

from __future__ import annotations

import logging
from functools import partial

from bascule.audit.writer import LogUnavailableError
from bascule.authserver.call_approval_pages import decision_record
from bascule.clock import Clock
from bascule.storage import call_approvals
from bascule.storage.store import StateUnavailableError, Store
from bascule.web.records import Records

log = logging.getLogger("bascule")

LOOK_SECONDS = 5.0
"""Between looks: their arguments are kept so much longer. They count no more anyway."""


class CallApprovalClock:
    """Looks again and again; of several processes one ends and records each."""

    def __init__(self, store: Store, records: Records, clock: Clock) -> None:
        self._store = store
        self._records = records
        self._clock = clock

    async def look(self) -> None:
        """Look once; what cannot be done now is done the next time, or by another."""
        now = self._clock()
        try:
            if not await self._store.look(partial(call_approvals.has_overdue, now=now)):
                return
            end = partial(call_approvals.end_overdue, now=now)
            for approval in await self._store.transact(end):
                await self._records.event(
                    "call_approval.expire",
                    peer=None,
                    user=approval.request.user,
                    agent=approval.request.agent,
                    connector=approval.request.connector,
                    admin=decision_record(approval, frozenset(approval.request.rules)),
                )
        except (StateUnavailableError, LogUnavailableError) as exc:
            log.warning("calls that wait for somebody: %s", exc)
