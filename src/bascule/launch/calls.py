"""One request that a process is at, and what has come back for it so far."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.clock import monotonic
from bascule.errors import BasculeError
from bascule.protocol.message import Error, MessageId

HIGH_WATER = 256 << 10
"""Bytes that a caller may be behind before the process is not read for a while."""
_PER_MESSAGE = 256
"""What a message counts beside its bytes, so that many small ones are bounded too."""


class CallError(BasculeError):
    """A request of a caller cannot be answered by the server."""


class ServerGoneError(CallError):
    """The process ended before it had answered."""


class CallTimeoutError(CallError):
    """Nobody waits for the answer any longer."""


class Reply(Struct, frozen=True, gc=False):
    """One message for the caller, with the caller's own ids."""

    data: bytes
    """JSON on one line."""
    last: bool = False
    """This is the response."""
    result: Raw | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Owner(Protocol):
    """Who sent the request on."""

    def burden(self, call: Call) -> None:
        """The caller is far behind."""

    def relieve(self, call: Call) -> None:
        """The caller has caught up."""

    def cancel(self, call: Call, reason: str) -> None:
        """Nobody waits any more."""


class Call:
    """One request; `next` gives what comes back."""

    __slots__ = (
        "_error",
        "_peer",
        "_replies",
        "_size",
        "_waiter",
        "client_id",
        "client_token",
        "deaf",
        "id",
        "listening",
        "on_end",
        "started",
    )

    def __init__(
        self,
        peer: Owner,
        ours: int,
        method: str,
        client_id: MessageId,
        client_token: MessageId | None,
    ) -> None:
        self.id = ours
        self.client_id = client_id
        self.client_token = client_token
        self.listening = method == "subscriptions/listen"
        self.started = monotonic()
        self.deaf = False
        """Nobody takes the replies, though the server goes on."""
        self.on_end: Callable[[], object] | None = None
        """Called once, when nothing more can come for it."""
        self._peer = peer
        self._replies: deque[Reply] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: CallError | None = None

    async def next(self) -> Reply:
        """Wait for the next reply; after the last one there is none. Raises `CallError`."""
        while not self._replies:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        reply = self._replies.popleft()
        self._size -= len(reply.data) + _PER_MESSAGE
        if self._size < HIGH_WATER // 2:
            self._peer.relieve(self)
        return reply

    def cancel(self, reason: str) -> None:
        """Nobody waits any more, and the server may stop."""
        self._peer.cancel(self, reason)

    def insert(self, data: bytes) -> None:
        """Put a message that does not end it behind those that wait."""
        self.deliver(Reply(data))

    def go_deaf(self) -> None:
        """Throw away what comes back from now on."""
        self.deaf = True
        self._replies.clear()
        self._peer.relieve(self)

    # Called by the peer only.

    def deliver(self, reply: Reply) -> None:
        """Put a reply behind those that wait."""
        if self.deaf:
            return
        self._replies.append(reply)
        self._size += len(reply.data) + _PER_MESSAGE
        if self._size > HIGH_WATER and not reply.last:
            self._peer.burden(self)
        self._wake()

    def fail(self, error: CallError) -> None:
        """There will be no answer."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
