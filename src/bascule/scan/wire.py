"""The one way out of a scan: requests to what is in scope, and nothing else.

Each connection goes to an address that was checked, never to a name a second time; no
redirect is followed, no cookie kept, no proxy used; every request is in the ledger before
it is sent. TLS is judged first and then spoken even where it is not trusted, since that is
a finding and no credential is ever sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from msgspec import structs

from bascule.clock import Micros, system_micros
from bascule.net.fetch import system_trust
from bascule.net.resolver import Resolver, SystemResolver
from bascule.scan.asked import Asked
from bascule.scan.dialler import Dial as Dial
from bascule.scan.dialler import Dialler, open_connection
from bascule.scan.exchange import Limits, Reply, Stream, WireError, tls_failure
from bascule.scan.pace import Pace
from bascule.scan.place import Answered as Answered
from bascule.scan.place import Place as Place
from bascule.scan.report import Sent
from bascule.scan.scope import Scope
from bascule.scan.target import Target, shown_path

RATE = 50.0
"""Connections a second to other machines, and further requests a second on those that are
open."""
MAX_OPEN = 256
"""Connections at once."""
MAX_ATTEMPTS = 4
"""Addresses of one name that are tried."""
RESOLVE_SECONDS = 3.0
ALERT_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Wire:
    """Sends requests for one scan. Close it in the end."""

    scope: Scope
    rate: float = RATE
    limits: Limits = field(default_factory=Limits)
    resolver: Resolver = field(default_factory=SystemResolver)
    trust: Callable[[], ssl.SSLContext] = system_trust
    dial: Dial = open_connection
    max_open: int = MAX_OPEN
    clock: Callable[[], Micros] = system_micros
    sent: list[Sent] = field(default_factory=list)
    """The ledger: every request, in the order in which they were sent."""
    _dialler: Dialler = field(init=False)
    _further: Pace = field(init=False)
    _open: asyncio.Semaphore = field(init=False)
    _idle: dict[Place, Stream] = field(init=False, default_factory=dict)
    _names: dict[tuple[str, int], tuple[str, ...]] = field(init=False, default_factory=dict)
    _heard: set[Place] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """Begin with nothing sent."""
        self._dialler = Dialler(self.scope, Pace(self.rate), self.dial, self.trust)
        self._further = Pace(self.rate)
        self._open = asyncio.Semaphore(self.max_open)

    async def place(self, target: Target, *, secure: bool | None = None) -> Place:
        """Find where a target is, through the gate.

        A name is looked up once for the whole scan, and all of its addresses must be in
        scope. `secure` decides where the target leaves it open. Raises `OutOfScopeError`,
        or `WireError` when the name has no address.
        """
        key = (target.host, target.port)
        addresses = target.addresses or self._names.get(key)
        if addresses is None:
            self.scope.check_name(target.host)
            addresses = self._names[key] = await self._look_up(*key)
        for address in addresses:
            self.scope.check(address, target.host, target.port)
        speaks_tls = target.secure if secure is None else secure
        return Place(target.host, target.port, bool(speaks_tls), addresses)

    async def _look_up(self, host: str, port: int) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self.resolver(host, port)
        except (OSError, TimeoutError, UnicodeError) as exc:
            raise WireError("unreachable", f"the name `{host}` has no address") from exc
        if not found:
            raise WireError("unreachable", f"the name `{host}` has no address")
        return tuple(found[:MAX_ATTEMPTS])

    async def ask(
        self,
        place: Place,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        limits: Limits | None = None,
    ) -> Answered:
        """Send one request and read the whole answer. Raises `WireError`."""
        async with self.send(place, method, path, headers, body, limits=limits) as reply:
            content = await reply.body()
            return Answered(
                reply.status,
                reply.headers,
                content,
                reply.cut,
                reply.stream.tls,
                reply.stream.address,
            )

    @asynccontextmanager
    async def send(
        self,
        place: Place,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        limits: Limits | None = None,
    ) -> AsyncGenerator[Reply, None]:
        """Send one request, and give the answer as soon as its head is there.

        `headers` stand in place of the usual ones of the same name, `Host` included. A
        connection that had its whole answer is kept for the next request to the place.
        Raises `WireError`; ValueError for headers that cannot be sent.
        """
        asked = Asked(method, path, headers or {}, body)
        message = asked.written(place)
        async with self._open:
            reply = await self._answered(place, asked, message, limits or self.limits)
            try:
                yield reply
            finally:
                keep = reply.complete and reply.keep_alive
                self._put_back(place, reply.stream, keep=keep)

    def keeps(self, place: Place) -> bool:
        """Tell whether a connection to a place is kept for the next request."""
        return place in self._idle

    def forget(self, place: Place) -> None:
        """End the connection that was kept for a place."""
        stream = self._idle.pop(place, None)
        if stream is not None:
            stream.cut()

    def close(self) -> None:
        """End all connections that were kept."""
        for place in list(self._idle):
            self.forget(place)

    @asynccontextmanager
    async def stream(self, place: Place) -> AsyncGenerator[Stream, None]:
        """Lend a connection, for who writes and reads by himself and notes what he sends.

        It is kept afterwards where `whole` says that all answers were read to their ends.
        Raises `WireError`.
        """
        async with self._open:
            stream = self._idle.pop(place, None)
            if stream is None:
                stream = await self._dialler.connect(place, self.limits)
            stream.whole = False
            try:
                yield stream
            finally:
                self._put_back(place, stream, keep=stream.whole)

    def note(self, place: Place, address: str, asked: Asked) -> int:
        """Write a request into the ledger, before it goes; gives its number there."""
        self.sent.append(
            Sent(
                at=self.clock() / 1e6,
                method=asked.method,
                url=f"{place.origin}{shown_path(asked.path)}",
                address=address,
                status=None,
            )
        )
        return len(self.sent) - 1

    def note_status(self, number: int, status: int, address: str) -> None:
        """Write into the ledger what came of a request, and from where."""
        noted = self.sent[number]
        self.sent[number] = structs.replace(noted, status=status, address=address)

    async def _answered(
        self, place: Place, asked: Asked, message: bytes, limits: Limits
    ) -> Reply:
        kept = self._idle.pop(place, None)
        if kept is not None:
            if not kept.free:
                await self._further.turn()
            number = self.note(place, kept.address, asked)
            try:
                return await self._exchange(kept, place, number, message, limits)
            except WireError as exc:
                if exc.failure != "closed":
                    raise
                # It was closed while nobody asked anything, as servers do: once more.
        numbers: list[int] = []

        def dialling(address: str) -> None:
            if not numbers:
                numbers.append(self.note(place, address, asked))

        stream = await self._dialler.connect(place, limits, dialling)
        try:
            return await self._exchange(stream, place, numbers[0], message, limits)
        except WireError as exc:
            if place.secure and exc.failure == "closed":
                await self._hear_alert(place, limits)
            raise

    async def _hear_alert(self, place: Place, limits: Limits) -> None:
        """Connect once more and say nothing: raises `WireError` when an alert comes.

        Who wants a certificate says so after the handshake (RFC 8446 §4.4.2.4); a request
        that is under way by then resets the connection, and the alert is lost.
        """
        stream = await self._dialler.connect(place, limits)
        try:
            async with asyncio.timeout(ALERT_SECONDS):
                await stream.reader.read(1)
        except ssl.SSLError as exc:
            raise tls_failure(exc) from exc
        except (OSError, TimeoutError):
            return
        finally:
            stream.cut()

    async def _exchange(
        self, stream: Stream, place: Place, number: int, message: bytes, limits: Limits
    ) -> Reply:
        heard = place in self._heard
        seconds = limits.head_seconds if heard else limits.first_seconds
        reply = Reply(stream, limits, seconds)
        try:
            stream.writer.write(message)
            await reply.begin()
        except BaseException:
            stream.cut()
            raise
        self._heard.add(place)
        self.note_status(number, reply.status, stream.address)
        return reply

    def _put_back(self, place: Place, stream: Stream, *, keep: bool) -> None:
        if keep and place not in self._idle:
            self._idle[place] = stream
        else:
            stream.cut()
