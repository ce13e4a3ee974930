"""Capturing the surface of a stdio server, from processes of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw

from bascule.launch.calls import CallError, ServerGoneError
from bascule.launch.command import LaunchError
from bascule.launch.peer import Peer
from bascule.launch.process import Process
from bascule.lock.capture import SECONDS, CapturedSurface, capture
from bascule.lock.view import CaptureError, Conversation, RefusedError
from bascule.protocol.message import Error

MAX_LINE_BYTES = 8 << 20
"""Longest message of a server that is captured: the `limit` for whoever starts it."""

MAX_WORDS = 300
"""Characters that are told of each of the last lines of a server that ends."""

Start = Callable[[Process], Awaitable[None]]
"""Starts the server in a process. Raises `LaunchError` or `OSError`."""


async def capture_stdio(
    name: str,
    start: Start,
    environment: Mapping[str, str],
    *,
    secrets: frozenset[str] = frozenset(),
    seen_by: str = "",
    seconds: float = SECONDS,
) -> CapturedSurface:
    """Capture what a stdio server serves; see `capture`.

    `start` is called for each of a few processes at once; they are ended with all that they
    started. `secrets` do not stand in the log. Raises `CaptureError`.
    """

    @asynccontextmanager
    async def connect(revision: str) -> AsyncIterator[Conversation]:
        talk = _Talk(name, secrets)
        process = talk.peer.process
        try:
            try:
                await _whole(start(process))
            except LaunchError as exc:
                raise CaptureError(str(exc)) from exc
            except OSError as exc:
                raise CaptureError(f"cannot run it: {exc.strerror}") from exc
            yield talk
        finally:
            process.cut()
            await _whole(process.stop())

    return await capture(connect, environment, seen_by=seen_by, seconds=seconds)


async def _whole(work: Awaitable[None]) -> None:
    """Do something to its end also when cancelled: half a process would stay behind."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


class _Talk:
    """A conversation with one process; nobody can be asked anything there."""

    def __init__(self, name: str, secrets: frozenset[str]) -> None:
        self.peer = Peer(name, self, secrets=secrets)
        self.changes = 0

    async def request(self, method: str, params: Mapping[str, Any]) -> Raw:
        try:
            call = self.peer.call(0, method, params)
            reply = await call.next()
            while not reply.last:
                reply = await call.next()
        except ServerGoneError as exc:
            raise CaptureError(await self._with_last_words(str(exc))) from exc
        except CallError as exc:
            raise CaptureError(str(exc)) from exc
        if isinstance(reply.error, Error):
            raise RefusedError(method, reply.error.code, reply.error.message)
        assert isinstance(reply.result, Raw)  # noqa: S101 - a response that is no error
        return reply.result

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.peer.notify(method, params)

    async def _with_last_words(self, reason: str) -> str:
        """Say why a server is gone in its own words: they came on standard error."""
        await _whole(self.peer.process.stop())
        words = " | ".join(word[:MAX_WORDS] for word in self.peer.process.last_words())
        return f"{reason}, and said: {words}" if words else f"{reason} without a word"

    # Audience of the peer

    def told(self, peer: Peer, method: str, params: dict[str, Any]) -> None:
        self.changes += method.endswith("/list_changed")

    def asked(self, peer: Peer, ask: int, method: str, params: dict[str, Any]) -> bool:
        return False

    def lost(self, peer: Peer, reason: str) -> None:
        """Whoever waits for an answer is told by the call."""
