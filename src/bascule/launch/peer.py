"""JSON-RPC with one process, for many callers at once.

Every request gets an id of ours, which is its progress token and subscription id too, so
that those of different callers never meet; what comes back has the caller's own again. What
belongs to no request goes to the audience, which knows who else may see it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import count
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from bascule.clock import monotonic
from bascule.launch.calls import Call, CallError, CallTimeoutError, Reply, ServerGoneError
from bascule.launch.lines import shown
from bascule.launch.own_ids import (
    decoded,
    for_subscriber,
    response_for,
    with_own_token,
)
from bascule.launch.process import Process
from bascule.protocol import modern
from bascule.protocol.message import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    Answer,
    Error,
    MalformedMessageError,
    MessageId,
    parse_answer,
    write_notification,
    write_request,
    write_response,
)

log = logging.getLogger("bascule.stdio")

MAX_CALLS = 512
MAX_ASKS = 256
"""Requests of the server that nobody has answered."""
MAX_BAD_LINES = 64
"""Lines in a row that are no JSON-RPC; some servers greet on standard output."""
MAX_UNASKED = 10_000
"""Messages within ten seconds that answer nothing."""
UNASKED_SECONDS = 10.0
STALL_SECONDS = 5.0
"""Longest that one slow caller may keep all others from their answers."""

_params = msgspec.json.Decoder(dict[str, Any])
_processes = count(1)


class Audience(Protocol):
    """Who hears what a process says outside of calls."""

    def told(self, peer: Peer, method: str, params: dict[str, Any]) -> None:
        """Take a notification that belongs to no call."""

    def asked(self, peer: Peer, ask: int, method: str, params: dict[str, Any]) -> bool:
        """Take a request of the server; False when nobody can be asked."""

    def lost(self, peer: Peer, reason: str) -> None:
        """The process is over."""


class BusyError(CallError):
    """The process has too many unfinished requests."""


class Peer:
    """The other side of a process's pipes."""

    def __init__(
        self,
        name: str,
        audience: Audience,
        *,
        place: object = None,
        secrets: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.place = place
        """What it has in common with the one that is started after it."""
        self.process = Process(name, self, secrets=secrets)
        self.opening = Raw(b"{}")
        """Result of the first request: of `server/discover`, or of `initialize`."""
        self._process_number = next(_processes)
        self._changes = 0
        """How often the server has said that a list of its has changed."""
        self.over = False
        self.last_used = monotonic()
        self.held = 0
        """Subscriptions that would end with the process."""
        self._audience = audience
        self._secrets = secrets
        self._ids = count(1)
        self._calls: dict[int, Call] = {}
        self._asks: dict[int, MessageId] = {}
        """The server's own id of each request that it waits for."""
        self._slow: dict[Call, float] = {}
        """Since when a caller has not taken what is there for it."""
        self._bad_lines = 0
        self._unasked = 0
        self._unasked_since = 0.0
        self._room = asyncio.Event()
        self._room.set()

    # Towards the process

    @property
    def calls(self) -> list[Call]:
        """Unfinished requests, oldest first."""
        return list(self._calls.values())

    @property
    def edition(self) -> str:
        """What tells these definitions from those of before: of a process, of a change."""
        return f'"{self._process_number}.{self._changes}"'

    @property
    def busy(self) -> bool:
        """Whether somebody waits for something of it."""
        return bool(self._calls or self.held)

    async def room(self) -> None:
        """Wait until the process takes what is written to it."""
        await self._room.wait()

    def call(
        self,
        client_id: MessageId,
        method: str,
        params: Mapping[str, Any],
    ) -> Call:
        """Send a request. Raises `BusyError`, or `ServerGoneError`."""
        if self.over:
            raise ServerGoneError("the server has ended")
        if len(self._calls) >= MAX_CALLS:
            raise BusyError("the server has too much to do")
        self.last_used = monotonic()
        ours = next(self._ids)
        written, token = with_own_token(params, ours)
        made = Call(self, ours, method, client_id, token)
        self._calls[ours] = made
        self.process.write(write_request(ours, method, written))
        return made

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification."""
        self.process.write(write_notification(method, params))

    def cancel(self, call: Call, reason: str) -> None:
        """Tell the server that nobody waits any more, and forget the request."""
        if self.forget(call) and not self.over:
            self.notify("notifications/cancelled", {"requestId": call.id, "reason": reason})

    def forget(self, call: Call) -> bool:
        """Drop a request; what still comes for it is not for anybody."""
        self.relieve(call)
        self.last_used = monotonic()
        if self._calls.pop(call.id, None) is None:
            return False
        if call.on_end is not None:
            call.on_end()
        return True

    def answer(self, ask: int, outcome: dict[str, Any] | Error) -> None:
        """Give the server the answer to one of its requests; a second one is ignored.

        It is written anew from what was parsed: a line end of the client's would be the
        line's.
        """
        theirs = self._asks.pop(ask, None)
        if theirs is not None:
            self.process.write(write_response(theirs, outcome))

    # Back-pressure and time

    @property
    def held_up(self) -> bool:
        """The process is not read, since a caller does not take what is there for it."""
        return bool(self._slow)

    def burden(self, call: Call) -> None:
        """A caller is far behind: take no more from the process for now."""
        self._slow.setdefault(call, monotonic())
        self.process.pause()

    def relieve(self, call: Call) -> None:
        """A caller has caught up, or is gone."""
        if self._slow.pop(call, None) is not None and not self._slow:
            self.process.resume()

    def expire(self, now: float, *, longest: float) -> None:
        """End calls that stall others or last too long; called about once a second."""
        for call, since in list(self._slow.items()):
            if now - since > STALL_SECONDS:
                self.cancel(call, "the client is too slow")
                call.fail(CallTimeoutError("the client reads too slowly"))
        for call in self.calls:
            if not call.listening and now - call.started > longest:
                self.cancel(call, "time is over")
                call.fail(CallTimeoutError("the server took too long"))

    # From the process

    def line_received(self, line: bytes) -> None:
        """Take one message of the server."""
        # JSON has no bare carriage return but as white space; in an event it would end it.
        line = line.replace(b"\r", b" ")
        try:
            message = parse_answer(line)
            if isinstance(message.method, str):
                params = decoded(message.params)
                self._spontaneous(message.method, message.id, params)
            else:
                self._response(message)
            self._bad_lines = 0
        except (MalformedMessageError, msgspec.DecodeError):
            self._bad_lines += 1
            log.warning("[%s] no message: %s", self.name, shown(line, self._secrets)[:200])
            if self._bad_lines >= MAX_BAD_LINES:
                self.process.output_closed("sends what is no JSON-RPC")

    def congested(self, blocked: bool) -> None:
        """The process has stopped to read, or reads again."""
        if blocked:
            self._room.clear()
        else:
            self._room.set()

    def ended(self, reason: str) -> None:
        """The process's output is over: so is what was going on."""
        self.over = True
        self._room.set()
        for call in self.calls:
            self.forget(call)
            call.fail(ServerGoneError(f"the server {reason}"))
        self._asks.clear()
        self._audience.lost(self, reason)

    def _response(self, answer: Answer) -> None:
        call = self._calls.get(answer.id) if isinstance(answer.id, int) else None
        if call is None:
            self._count_unasked()
            return
        self._unasked = 0
        self.forget(call)
        try:
            call.deliver(response_for(call, answer))
        except (MalformedMessageError, msgspec.DecodeError):
            call.fail(CallError("the server sent no valid answer"))

    def _spontaneous(
        self, method: str, theirs: MessageId | None, params: dict[str, Any]
    ) -> None:
        if theirs is not None:
            self._count_unasked()
            self._asked(method, theirs, params)
            return
        if method.endswith("/list_changed"):
            self._changes += 1
        call = self._call_of(method, params)
        if call is None:
            self._count_unasked()
            self._audience.told(self, method, params)
        elif method == "notifications/cancelled":
            # How a server ends a subscription where it cannot close a stream.
            self.forget(call)
            call.fail(ServerGoneError("the server has ended the subscription"))
        else:
            if method == "notifications/progress":
                params[modern.PROGRESS_TOKEN] = call.client_token
            data = write_notification(method, for_subscriber(params, call))
            call.deliver(Reply(data))

    def _asked(self, method: str, theirs: MessageId, params: dict[str, Any]) -> None:
        ask = next(self._ids)
        self._asks[ask] = theirs
        if method == "ping":
            self.answer(ask, {})
        elif len(self._asks) > MAX_ASKS:
            self.answer(ask, Error(INTERNAL_ERROR, "too much was asked already"))
        elif not self._audience.asked(self, ask, method, params):
            self.answer(ask, Error(METHOD_NOT_FOUND, "nobody can be asked here"))

    def _call_of(self, method: str, params: Mapping[str, Any]) -> Call | None:
        """Find the call that a notification belongs to."""
        key: object = None
        if method == "notifications/progress":
            key = params.get(modern.PROGRESS_TOKEN)
        elif method == "notifications/cancelled":
            key = params.get("requestId")
        elif isinstance(meta := params.get(modern.META), dict):
            key = meta.get(modern.SUBSCRIPTION_ID)
        call = self._calls.get(key) if type(key) is int else None
        if call is None:
            return None
        fits = (
            call.client_token is not None
            if method == "notifications/progress"
            else call.listening
        )
        return call if fits else None

    def _count_unasked(self) -> None:
        now = monotonic()
        if now - self._unasked_since > UNASKED_SECONDS:
            self._unasked, self._unasked_since = 0, now
        self._unasked += 1
        if self._unasked > MAX_UNASKED:
            self.process.output_closed("sends too much that nobody asked for")
