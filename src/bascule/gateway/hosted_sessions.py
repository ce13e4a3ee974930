"""Sessions of the older era with hosted servers, and what reaches them outside of calls."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.clock import Entropy, monotonic
from bascule.errors import BasculeError
from bascule.launch.calls import Call
from bascule.launch.peer import Peer
from bascule.launch.server import StdioServer
from bascule.launch.wanted import Wanted
from bascule.protocol.message import (
    INTERNAL_ERROR,
    Error,
    MessageId,
    write_notification,
    write_request,
)

SESSION_BYTES = 18
MAX_SESSIONS = 10_000
MAX_SESSIONS_OF_USER = 200
"""Beyond these the session that was not used for longest makes room."""
IDLE_SECONDS = 24 * 3600.0
"""A session that nobody has used for so long is forgotten."""
MAX_SUBSCRIBED = 500
"""Resources that one session hears of."""
MAX_WAITING = 256
"""Messages that wait for a client that does not read its stream; then the oldest go."""


class SessionError(BasculeError):
    """A request does not belong to a session; `status` is the HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Waiting:
    """What a session's own stream has to say; one reader at most."""

    __slots__ = ("_messages", "_waiter", "open")

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._waiter: asyncio.Future[None] | None = None
        self.open = False
        """Somebody reads."""

    def put(self, message: bytes) -> None:
        """Say something; nobody hears it unless the stream is open."""
        if self.open:
            self._messages.append(message)
            self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def next(self) -> bytes | None:
        """Wait for the next message; None once the stream is not open any more."""
        while self.open and not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._messages.popleft() if self.open else None


@dataclass(eq=False, slots=True)
class Session:
    """One client's session with one server."""

    id: str
    server: StdioServer
    user: str
    """Who began it; nobody else can use it."""
    agent: str
    wanted: Wanted
    shared: bool
    """Its process serves others too."""
    stream: Waiting = field(default_factory=Waiting)
    calls: dict[MessageId, Call] = field(default_factory=dict)
    """Unfinished requests by the client's id."""
    asks: dict[int, Peer] = field(default_factory=dict)
    """Requests of the server that the client has not answered, by our id."""
    subscribed: dict[bytes, Peer] = field(default_factory=dict)
    """Resources that the client wants to hear of, with the process that knows it. By the
    digest of the URI, since clients choose how long that is."""
    last_used: float = field(default_factory=monotonic)


class Sessions:
    """All sessions of the older era; the audience of all hosted processes."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._by_id: dict[str, Session] = {}
        self._by_place: dict[object, list[Session]] = {}
        """Sessions that share a process, by the place of that one."""

    def begin(
        self, server: StdioServer, user: str, agent: str, wanted: Wanted, *, shared: bool
    ) -> Session:
        """Begin a session. A user who has too many loses one of their own."""
        self._make_room([it for it in self._by_id.values() if it.user == user])
        session_id = self._entropy(SESSION_BYTES).hex()
        made = Session(session_id, server, user, agent, wanted, shared)
        self._by_id[session_id] = made
        self._by_place.setdefault(server.place(wanted), []).append(made)
        return made

    def _make_room(self, of_user: list[Session]) -> None:
        full = len(of_user) >= MAX_SESSIONS_OF_USER
        if full or len(self._by_id) >= MAX_SESSIONS:
            oldest = of_user if full else self._by_id.values()
            self.end(min(oldest, key=lambda it: it.last_used))

    def find(self, session_id: str, server: StdioServer, user: str) -> Session | None:
        """Give a session of this user with this server."""
        found = self._by_id.get(session_id)
        if found is None or found.server is not server or found.user != user:
            return None
        found.last_used = monotonic()
        return found

    def end(self, session: Session) -> None:
        """End a session: what it is at is cancelled."""
        if self._by_id.pop(session.id, None) is None:
            return
        self._by_place[session.server.place(session.wanted)].remove(session)
        session.stream.open = False
        session.stream.wake()
        for call in list(session.calls.values()):
            call.cancel("the session has ended")
        for ask, asking in session.asks.items():
            # Or the server would wait for ever, and soon could ask nobody any more.
            asking.answer(ask, Error(INTERNAL_ERROR, "the session has ended"))
        session.asks.clear()
        for peer in session.subscribed.values():
            peer.held -= 1
        session.subscribed.clear()

    def end_those(self, ends: Callable[[Session], bool]) -> None:
        """End the sessions for which this is so."""
        for session in list(filter(ends, self._by_id.values())):
            self.end(session)

    def end_server(self, server: StdioServer) -> None:
        """Let the clients of a server that is replaced begin anew; their calls go on."""
        for session in [it for it in self._by_id.values() if it.server is server]:
            session.calls = {}
            self.end(session)

    def expire(self, now: float) -> None:
        """Forget sessions that nobody uses; called about once a second."""
        for session in list(self._by_id.values()):
            used = session.calls or session.stream.open
            if not used and now - session.last_used > IDLE_SECONDS:
                self.end(session)

    # Subscriptions to resources

    def may_subscribe(self, session: Session, uri: str) -> bool:
        """Tell whether a session may hear of one more resource, or of this one already."""
        count = len(session.subscribed)
        return count < MAX_SUBSCRIBED or _digest(uri) in session.subscribed

    def subscribe(self, session: Session, uri: str, peer: Peer) -> None:
        """Remember that a session hears of a resource, unless it has ended meanwhile."""
        if session.id in self._by_id and _digest(uri) not in session.subscribed:
            session.subscribed[_digest(uri)] = peer
            peer.held += 1

    def unsubscribe(self, session: Session, uri: str) -> bool:
        """Forget it; False when another session still hears of it from that process."""
        peer = session.subscribed.pop(_digest(uri), None)
        if peer is None:
            return True
        peer.held -= 1
        others = (it for it in self._of(peer) if it is not session)
        return not any(it.subscribed.get(_digest(uri)) is peer for it in others)

    # Audience of the processes

    def told(self, peer: Peer, method: str, params: dict[str, Any]) -> None:
        """Pass a notification on to the sessions that it can only be meant for."""
        message = write_notification(method, params)
        for session in self._meant(peer, method, params):
            session.stream.put(message)

    def _meant(
        self, peer: Peer, method: str, params: Mapping[str, Any]
    ) -> Iterator[Session]:
        only = self._only(peer)
        updated = method == "notifications/resources/updated"
        resource = _digest(str(params.get("uri"))) if updated else b""
        for session in self._of(peer):
            if method.endswith("/list_changed"):
                yield session  # says nothing of anybody
            elif updated:
                if session.subscribed.get(resource) is peer:
                    yield session
            elif session is only:
                yield session

    def asked(self, peer: Peer, ask: int, method: str, params: dict[str, Any]) -> bool:
        """Ask the client of the one session that it can be meant for.

        On the stream of its newest request, else on the session's own (MCP 2025-11-25,
        transports).
        """
        session = self._only(peer)
        if session is None or not _can_be_asked(session, method):
            return False
        message = write_request(ask, method, params)
        heard = [it for it in session.calls.values() if not it.deaf]
        if heard:
            heard[-1].insert(message)
        elif session.stream.open:
            session.stream.put(message)
        else:
            return False
        session.asks[ask] = peer
        return True

    def lost(self, peer: Peer, reason: str) -> None:
        """Forget what a process that has ended asked.

        What its clients had subscribed to is lost: their sessions end, so that they begin
        anew. Other sessions go on with the next process.
        """
        for session in list(self._of(peer)):
            if peer in session.subscribed.values():
                self.end(session)
            for ask in [key for key, it in session.asks.items() if it is peer]:
                del session.asks[ask]

    def _of(self, peer: Peer) -> list[Session]:
        return self._by_place.get(peer.place, [])

    def _only(self, peer: Peer) -> Session | None:
        """Give the session that the server speaks to, when it cannot be another's.

        A process tells us for which request it asks or logs by nothing but time. So all its
        sessions must be of one user and agent, and one alone be waiting for it.
        """
        sessions = self._of(peer)
        if any(it.shared for it in sessions) or len({it.agent for it in sessions}) != 1:
            return None
        waiting = [it for it in sessions if it.calls] or sessions
        return waiting[0] if len(waiting) == 1 else None


def _can_be_asked(session: Session, method: str) -> bool:
    return method.partition("/")[0] in session.wanted.capabilities


def _digest(uri: str) -> bytes:
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()
