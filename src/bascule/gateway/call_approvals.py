"""Call approvals, as one call meets them: looked up, asked for, used once.

The state database is their place, so any process answers the retry of a call that another
one asked about, also after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from bascule.clock import Clock, Entropy, UnixTime, monotonic
from bascule.decision.facts import CallFacts, CallToApprove, Consent
from bascule.gateway.approval_states import Shown
from bascule.gateway.callers import StateUnconfirmedError
from bascule.storage import call_approvals as stored
from bascule.storage.call_approvals import CallApproval, CallRequest
from bascule.storage.sealed_arguments import seal_arguments
from bascule.storage.store import StateUnavailableError, Store, Work

T = TypeVar("T")

_ID_BYTES = 16
_THREADS = 2
WAIT_SECONDS = 25.0
"""For a decision, while a request is held: less than most clients wait for an answer."""
LOOK_SECONDS = 0.5

Found = Literal[
    "pending",
    "approved",
    "denied",
    "used",
    "expired",
    "of another call",
    "too many",
    "not kept",
]
"""As in `storage.call_approvals`; or why there is none for this call."""


class Approval(Struct, frozen=True):
    """What there is for one call."""

    found: Found
    id: str = ""
    round: int = 1
    """Of the call that is under way."""
    inner: str | None = None
    """The server's own state, of a call in the middle of its rounds."""
    consent: Consent | None = None
    """What the call is decided with, when it is approved."""
    opened: bool = False
    """The client has sent its user to the page already."""


class CallApprovals:
    """Those of one process; used on its event loop."""

    def __init__(
        self,
        store: Store,
        key: bytes,
        entropy: Entropy,
        *,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`key`: as `storage.sealed_arguments.arguments_key` derives it."""
        self._wait_seconds = wait_seconds
        self._ends = False
        self._store = store
        self._key = key
        self._entropy = entropy
        # Not the threads that pages wait for too: many of them would keep calls waiting.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="approvals")

    async def find(
        self, facts: CallFacts, call: CallToApprove, shown: Shown | None, inner: str | None
    ) -> Approval:
        """Give what there is for a call; when it is nothing, somebody is asked.

        Who shows a `requestState` is held to what that one is for. Raises
        `StateUnconfirmedError`.
        """
        look, change, now = self._store.read, self._store.run, facts.now
        if shown is None:
            # Who only asks again holds up nobody that writes.
            same = partial(stored.latest, binding=call.binding, now=now)
            known = await self._do(look, same)
            if known is None:
                known = await self._do(change, self._asking(facts, call))
            return Approval("too many") if known is None else _as_found(known, 1, inner)
        if shown.declined and shown.round == 1:
            taking_back = partial(stored.withdraw, approval_id=shown.id, now=now)
            await self._do(change, taking_back)
        found = await self._do(look, partial(stored.find, approval_id=shown.id, now=now))
        if found is None or found.request.binding != call.binding:
            return Approval("of another call", shown.id)
        approval = _as_found(found, shown.round, inner)
        return replace(approval, opened=shown.opened)

    async def wait(self, approval_id: str, clock: Clock) -> None:
        """Wait for a decision about a call, for a while.

        Clients ask again as soon as they have sent their user to the page, and give up when
        they have done so a few times. Raises `StateUnconfirmedError`.
        """
        end = monotonic() + self._wait_seconds
        while monotonic() < end and not self._ends:
            waits = partial(stored.is_pending, approval_id=approval_id, now=clock())
            if not await self._do(self._store.read, waits):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def stop_waiting(self) -> None:
        """Let nobody wait any more: this process is about to end."""
        self._ends = True

    async def use(self, approval: Approval, binding: str, now: UnixTime) -> bool:
        """Use an approval for this round of its call; of several who try, one may.

        Raises `StateUnconfirmedError`.
        """
        work = partial(
            stored.use,
            approval_id=approval.id,
            binding=binding,
            round=approval.round,
            now=now,
        )
        return await self._do(self._store.run, work)

    def _asking(self, facts: CallFacts, call: CallToApprove) -> Work[CallApproval | None]:
        approval_id = self._entropy(_ID_BYTES).hex()
        request = CallRequest(
            user=facts.principal.user,
            agent=facts.principal.agent,
            connector=facts.connector,
            tool=facts.name,
            definition=call.definition,
            arguments_digest=call.arguments_digest,
            policy_digest=call.policy_digest,
            binding=call.binding,
            rules=call.rules,
        )
        sealed = seal_arguments(self._key, approval_id, call.arguments, self._entropy)
        return partial(
            stored.ask,
            request=request,
            approval_id=approval_id,
            sealed_arguments=sealed,
            now=facts.now,
        )

    async def _do(self, how: Callable[[Work[T]], T], work: Work[T]) -> T:
        """Look or change in a thread."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, how, work)
        except StateUnavailableError as exc:
            raise StateUnconfirmedError("call approvals cannot be looked up now") from exc


def _as_found(known: CallApproval, round: int, inner: str | None) -> Approval:
    """Say what an approval is to a round of its call; only the next one may be had."""
    due = 1 if known.state == "approved" else known.round + 1
    usable = known.state in {"approved", "used"} and round == due
    binding = known.request.binding
    return Approval(
        known.state,
        known.id,
        round,
        inner,
        Consent(binding, tuple(sorted(known.approvers))) if usable else None,
    )
