"""The one way out of a scan: requests to what is in scope, and nothing else.

Each connection goes to an address that was checked, never to a name a second time; no
redirect is followed, no cookie kept, no proxy used; every request is in the ledger before
it is sent. TLS is judged first and then spoken even where it is not trusted, since that is
a finding and no credential is ever sent.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bascule.clock import Micros, monotonic, system_micros
from bascule.net.fetch import USER_AGENT, system_trust
from bascule.net.resolver import Resolver, SystemResolver
from bascule.scan.exchange import Limits, Reply, Stream, Tls, WireError, tls_failure
from bascule.scan.pace import Pace
from bascule.scan.report import Sent
from bascule.scan.scope import Scope
from bascule.scan.target import Target, authority, shown

RATE = 50.0
"""Connections a second to other machines; to one port no more requests a second either."""
MAX_OPEN = 256
"""Connections at once."""
MAX_ATTEMPTS = 4
"""Addresses of one name that are tried."""
RESOLVE_SECONDS = 3.0
ALERT_SECONDS = 1.0

Dial = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to a literal and a port, in cleartext; TLS comes on top of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests go: looked up once, checked, and never looked up again."""

    host: str
    port: int
    secure: bool
    addresses: tuple[str, ...]

    @property
    def authority(self) -> str:
        """What `Host` says."""
        return authority(self.host, self.port, secure=self.secure)

    @property
    def origin(self) -> str:
        """As browsers write it."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer with its body, which `cut` says to be whole or not."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: str
    tls: Tls | None
    address: str

    def header(self, name: str) -> str | None:
        """Give the value of a header, named in lower case; the first of several."""
        return next((value for key, value in self.headers if key == name), None)

    def every(self, name: str) -> list[str]:
        """Give all values of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def media_type(self) -> str:
        """In lower case, without parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


async def _dial(
    address: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address, port)


@dataclass(slots=True, kw_only=True)
class Wire:
    """Sends requests for one scan. Close it in the end."""

    scope: Scope
    rate: float = RATE
    limits: Limits = field(default_factory=Limits)
    resolver: Resolver = field(default_factory=SystemResolver)
    trust: Callable[[], ssl.SSLContext] = system_trust
    dial: Dial = _dial
    max_open: int = MAX_OPEN
    clock: Callable[[], Micros] = system_micros
    sent: list[Sent] = field(default_factory=list)
    """The ledger: every request, in the order in which they were sent."""
    _pace: Pace = field(init=False)
    _open: asyncio.Semaphore = field(init=False)
    _idle: dict[Place, Stream] = field(init=False, default_factory=dict)
    _names: dict[tuple[str, int], tuple[str, ...]] = field(init=False, default_factory=dict)
    _untrusted: dict[Place, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing sent."""
        self._pace = Pace(self.rate)
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
        message = _written(place, method, path, headers or {}, body)
        async with self._open:
            reply = await self._answered(
                place, method, path, message, limits or self.limits
            )
            try:
                yield reply
            finally:
                self._put_back(place, reply)

    def forget(self, place: Place) -> None:
        """End the connection that was kept for a place."""
        stream = self._idle.pop(place, None)
        if stream is not None:
            stream.cut()

    def close(self) -> None:
        """End all connections that were kept."""
        for place in list(self._idle):
            self.forget(place)

    async def _answered(
        self, place: Place, method: str, path: str, message: bytes, limits: Limits
    ) -> Reply:
        kept = self._idle.pop(place, None)
        if kept is not None:
            try:
                return await self._exchange(kept, place, method, path, message, limits)
            except WireError as exc:
                if exc.failure != "closed":
                    raise
                # It was closed while nobody asked anything, as servers do: once more.
        try:
            stream = await self._connected(place, limits)
        except WireError:
            self._note(place, place.addresses[0], method, path)
            raise
        try:
            return await self._exchange(stream, place, method, path, message, limits)
        except WireError as exc:
            if place.secure and exc.failure == "closed":
                await self._hear_alert(place, limits)
            raise

    async def _hear_alert(self, place: Place, limits: Limits) -> None:
        """Connect once more and say nothing: raises `WireError` when an alert comes.

        Who wants a certificate says so after the handshake (RFC 8446 §4.4.2.4); a request
        that is under way by then resets the connection, and the alert is lost.
        """
        stream = await self._connected(place, limits)
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
        self,
        stream: Stream,
        place: Place,
        method: str,
        path: str,
        message: bytes,
        limits: Limits,
    ) -> Reply:
        wait = stream.next_at - monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        address = stream.address.rpartition(":")[0].strip("[]")
        if not self.scope.is_free(address):
            stream.next_at = monotonic() + 1 / self.rate
        number = self._note(place, address, method, path)
        reply = Reply(stream, limits)
        try:
            stream.writer.write(message)
            await reply.begin()
        except BaseException:
            stream.cut()
            raise
        before = self.sent[number]
        self.sent[number] = Sent(
            at=before.at,
            method=method,
            url=before.url,
            address=before.address,
            status=reply.status,
        )
        return reply

    def _note(self, place: Place, address: str, method: str, path: str) -> int:
        """Write a request into the ledger, before it goes; gives its number there."""
        self.sent.append(
            Sent(
                at=self.clock() / 1e6,
                method=method,
                url=shown(f"{place.origin}{path}"),
                address=_literal_and_port(address, place.port),
                status=None,
            )
        )
        return len(self.sent) - 1

    def _put_back(self, place: Place, reply: Reply) -> None:
        stream = reply.stream
        if reply.complete and reply.keep_alive and place not in self._idle:
            self._idle[place] = stream
        else:
            stream.cut()

    async def _connected(self, place: Place, limits: Limits) -> Stream:
        """Connect to the first address that takes it. Raises what the last one gave."""
        problem = WireError("unreachable", "it has no address")
        for address in place.addresses:
            try:
                return await self._connect(place, address, limits)
            except WireError as exc:
                problem = exc
        raise problem

    async def _connect(self, place: Place, address: str, limits: Limits) -> Stream:
        if not place.secure:
            return await self._dialled(place, address, limits)
        if place not in self._untrusted:
            try:
                stream = await self._dialled(place, address, limits)
                return await _secured(stream, place, self.trust(), "", limits)
            except ssl.SSLCertVerificationError as exc:
                self._untrusted[place] = exc.verify_message or "it is not trusted"
        stream = await self._dialled(place, address, limits)
        problem = self._untrusted[place]
        return await _secured(stream, place, _any_certificate(), problem, limits)

    async def _dialled(self, place: Place, address: str, limits: Limits) -> Stream:
        self.scope.check(address, place.host, place.port)
        if not self.scope.is_free(address):
            await self._pace.turn()
        try:
            async with asyncio.timeout(limits.connect_seconds):
                reader, writer = await self.dial(address, place.port)
        except TimeoutError as exc:
            raise WireError("unreachable", "nothing answers at that address") from exc
        except ConnectionRefusedError as exc:
            raise WireError("refused", "nothing listens there") from exc
        except OSError as exc:
            raise WireError("unreachable", _reason(exc)) from exc
        return Stream(reader, writer, _literal_and_port(address, place.port))


async def _secured(
    stream: Stream, place: Place, context: ssl.SSLContext, problem: str, limits: Limits
) -> Stream:
    """Speak TLS on a connection. Raises `WireError`, or the refusal of the certificate."""
    try:
        async with asyncio.timeout(limits.head_seconds):
            await stream.writer.start_tls(context, server_hostname=place.host)
    except ssl.SSLCertVerificationError:
        stream.cut()
        raise
    except ssl.SSLError as exc:
        stream.cut()
        raise tls_failure(exc) from exc
    except (OSError, TimeoutError, ValueError) as exc:
        stream.cut()
        raise WireError("tls", "it does not speak TLS") from exc
    session = stream.writer.get_extra_info("ssl_object")
    stream.tls = Tls(problem, session.version() or "" if session is not None else "")
    return stream


def _any_certificate() -> ssl.SSLContext:
    """Trust anybody: what is learned is what stands there, and no secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _written(
    place: Place, method: str, path: str, headers: Mapping[str, str], body: bytes | None
) -> bytes:
    """Write a request; headers of the caller stand in place of ours."""
    ours = {
        "host": place.authority,
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
    }
    if body is not None:
        ours["content-length"] = str(len(body))
    lines = {**ours, **{name.lower(): value for name, value in headers.items()}}
    if not all(_is_sendable(it) for it in (method, path, *lines, *lines.values())):
        raise ValueError("a header or the path has what cannot stand there")
    head = "".join(f"{name.title()}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _literal_and_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _reason(problem: OSError) -> str:
    reasons = {
        errno.EHOSTUNREACH: "no route leads to that address",
        errno.ENETUNREACH: "no route leads to that address",
        errno.EACCES: "this machine forbids the connection",
        errno.EPERM: "this machine forbids the connection",
        errno.EMFILE: "this process may not open more files",
    }
    return reasons.get(problem.errno or 0, "the address cannot be reached")
