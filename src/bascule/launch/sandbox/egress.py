"""Connections out of a sandbox: accepted here, made from here, to approved hosts alone.

The listeners lie in the sandbox's network namespace; who accepts from them is outside of
it. So the server needs no proxy settings, and there is no way around: its namespace has no
other way out. What goes over a connection is not looked at, but for the host that a TLS
client asks for, so that an approved front of a large provider is no door to its other
customers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from bascule.clock import monotonic
from bascule.config.addresses import host_and_port
from bascule.errors import BasculeError
from bascule.launch.sandbox.backend import Reached, Report
from bascule.launch.sandbox.client_hello import (
    ClientHello,
    NotTlsError,
    may_begin_tls,
    read_client_hello,
)
from bascule.net.addresses import allowed_addresses, literal
from bascule.net.resolver import Resolver, system_resolver

log = logging.getLogger("bascule.sandbox")

HTTPS_PORT = 443
"""Here a connection must begin with TLS; elsewhere it is checked when it does."""
CONNECTIONS = 64
"""Open ones of one process."""
CONNECT_SECONDS = 10.0
HELLO_SECONDS = 10.0
IDLE_SECONDS = 900.0
CHUNK_BYTES = 64 << 10
_PRIVATE = "127.1"
_PUBLIC = "22.1"
"""Of a block that is public, and that nobody announces to the internet. All addresses are
the sandbox's own, so that it never matters which one a name has there."""
REPORT_SECONDS = 60.0
"""Connections to one place that follow on a reported one within this time are counted, and
told with the next: a server that connects in a loop must not fill the log."""
REPORTED_REFUSALS = 200
"""Of one process; a server that knocks everywhere must not fill the log."""


class RefusedError(Exception):
    """A connection is not let through; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """One approved HOST:PORT, and where the sandbox finds it."""

    host: str
    port: int
    inside: str
    """Address within the namespace; the host itself when it is one."""


def places_of(may_reach: Iterable[str], private: Iterable[str] = ()) -> list[Place]:
    """Give each approved host an address of its own. Raises `BasculeError`.

    Servers may refuse addresses that are not public, as the ones of hosts that are not: so
    only a host that is listed as private gets one of loopback.
    """
    own = {it[0].lower().removesuffix(".") for it in map(host_and_port, private) if it}
    addresses: dict[str, str] = {}
    places = []
    for entry in may_reach:
        pair = host_and_port(entry)
        if pair is None:
            raise BasculeError(f"`{entry}` in `may_reach` is no HOST:PORT")
        host = pair[0].lower().removesuffix(".")
        if host not in addresses:
            number = len(addresses) + 1
            block = _PRIVATE if host in own else _PUBLIC
            chosen = f"{block}.{number >> 8}.{number & 255}"
            addresses[host] = chosen if literal(host) is None else host
        places.append(Place(host, pair[1], addresses[host]))
    return places


def hosts_file(places: Iterable[Place]) -> str:
    """Write the sandbox's `/etc/hosts`: all names that it can resolve."""
    named = {it.host: it.inside for it in places if literal(it.host) is None}
    rows = ["127.0.0.1 localhost", "::1 localhost"]
    return "".join(
        f"{row}\n" for row in [*rows, *(f"{ip} {it}" for it, ip in named.items())]
    )


class Egress:
    """All connections of one process."""

    def __init__(
        self,
        report: Report,
        *,
        private: Iterable[str],
        resolver: Resolver = system_resolver,
    ) -> None:
        self._report = report
        self._private = tuple(private)
        self._resolver = resolver
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._reported: dict[tuple[str, str], tuple[float, int]] = {}
        """When a place and address were reported, and how often connected to since."""
        self._seen: set[tuple[str, int, str]] = set()
        self.bytes_out = self.bytes_in = 0

    async def listen(self, bound: Iterable[tuple[socket.socket, Place]]) -> None:
        """Accept from listeners of the sandbox's namespace."""
        for listener, place in bound:
            listener.setblocking(False)

            async def serve(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                place: Place = place,
            ) -> None:
                await self._serve(reader, writer, place)

            server = await asyncio.start_server(serve, sock=listener, limit=CHUNK_BYTES)
            self._servers.append(server)

    def close(self) -> None:
        """Take no more, and cut what is open."""
        for server in self._servers:
            server.close()
        for task in self._open:
            task.cancel()

    async def refused(self, host: str, port: int, reason: str) -> None:
        """Report what was refused, each place once and not endlessly many."""
        key = (host, port, reason)
        if key in self._seen or self._refusals >= REPORTED_REFUSALS:
            return
        self._seen.add(key)
        self._refusals += 1
        with contextlib.suppress(BasculeError):  # refused it is in any case
            await self._report(Reached(host, port, allowed=False, reason=reason))

    async def _report_connection(self, place: Place, address: str) -> None:
        key = (f"{place.host}:{place.port}", address)
        now = monotonic()
        before = self._reported.get(key)
        if before is not None and now - before[0] < REPORT_SECONDS:
            self._reported[key] = before[0], before[1] + 1
            return
        count = 0 if before is None else before[1]
        reached = Reached(
            place.host, place.port, allowed=True, address=address, unreported=count
        )
        await self._report(reached)
        self._reported[key] = now, 0

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs in one
        try:
            if len(self._open) >= CONNECTIONS:
                raise RefusedError(f"it has {CONNECTIONS} connections")
            self._open.add(task)
            await self._connect_and_relay(_Client(reader, writer), place)
        except* RefusedError as group:
            await self.refused(place.host, place.port, str(group.exceptions[0]))
        except* (OSError, TimeoutError, BasculeError) as group:
            log.info(
                "connection to %s:%d failed: %s",
                place.host,
                place.port,
                group.exceptions[0],
            )
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _connect_and_relay(self, client: _Client, place: Place) -> None:
        if place.port == HTTPS_PORT:
            await client.check_hello(place.host, required=True)
        address = await self._address(place)
        await self._report_connection(place, address)
        async with asyncio.timeout(CONNECT_SECONDS):
            up_reader, up_writer = await asyncio.open_connection(
                address, place.port, limit=CHUNK_BYTES
            )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._upwards(client, up_writer, place))
                tasks.create_task(self._downwards(up_reader, client.writer))
        except* (OSError, TimeoutError):
            pass  # either end has gone; the other is cut below
        finally:
            up_writer.transport.abort()

    async def _address(self, place: Place) -> str:
        try:
            found = await allowed_addresses(
                place.host,
                place.port,
                private=self._private,
                loopback=False,
                resolver=self._resolver,
            )
        except OSError as exc:
            raise RefusedError(f"its name does not resolve: {exc}") from exc
        except BasculeError as exc:
            raise RefusedError(str(exc)) from exc
        return found[0]

    async def _upwards(
        self, client: _Client, writer: asyncio.StreamWriter, place: Place
    ) -> None:
        await client.check_hello(place.host, required=False)
        async for piece in client.pieces():
            self.bytes_out += len(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def _downwards(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async for piece in _Client(reader, writer).pieces():
            self.bytes_in += len(piece)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


class _Client:
    """A connection that is read piece by piece, with what was looked at in front."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._looked_at = b""
        self._checked = False

    async def check_hello(self, host: str, *, required: bool) -> None:
        """Compare the host that TLS asks for. Raises `RefusedError` for another one."""
        if self._checked:
            return
        self._checked = True
        if not required and not await self._begins_tls():
            return
        async with asyncio.timeout(HELLO_SECONDS):
            hello = await self._hello()
        if hello.encrypted:
            raise RefusedError("its TLS hides the host that it asks for (encrypted hello)")
        # A literal address is never a server name (RFC 6066 §3).
        wanted = host if literal(host) is None else None
        if hello.server_name != wanted:
            shown = (hello.server_name or "no host")[:253]
            raise RefusedError(f"its TLS asks for {shown}")

    async def _begins_tls(self) -> bool:
        """Look at its first two bytes, which need not come together."""
        while len(self._looked_at) < 2:
            piece = await self._reader.read(CHUNK_BYTES)
            self._looked_at += piece
            if not piece or not may_begin_tls(self._looked_at):
                return False
        return may_begin_tls(self._looked_at)

    async def _hello(self) -> ClientHello:
        while True:
            try:
                hello = read_client_hello(self._looked_at)
            except NotTlsError as exc:
                raise RefusedError(str(exc)) from exc
            if hello is not None:
                return hello
            piece = await self._reader.read(CHUNK_BYTES)
            if not piece:
                raise RefusedError("it ended before its ClientHello did")
            self._looked_at += piece

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give what comes, until its end."""
        piece, self._looked_at = self._looked_at, b""
        while True:
            if piece:
                yield piece
            async with asyncio.timeout(IDLE_SECONDS):
                piece = await self._reader.read(CHUNK_BYTES)
            if not piece:
                return
