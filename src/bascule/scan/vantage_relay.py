"""A vantage point: connects to targets for the Bascule that it is paired with.

It passes bytes on and knows nothing of what they say: TLS goes through it end to end. It
looks up no names, never connects to this machine or to what no scan asks, and writes down
each order before it acts on it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from bascule.clock import Entropy, UnixTime
from bascule.scan.pace import Pace
from bascule.scan.scope import OutOfScopeError, Scope, entry
from bascule.scan.vantage_order import (
    MAX_LINE_BYTES,
    NONCE_BYTES,
    Greeting,
    Order,
    OrderError,
    Reply,
    line,
    literal_and_port,
    verified,
)

MAX_OPEN = 32
"""Connections at once; whoever comes then is told so by the connection's end."""
ORDER_SECONDS = 5.0
CONNECT_SECONDS = 2.0
RELAY_SECONDS = 30.0
"""How long one connection lives."""
RELAY_BYTES = 16 << 20
"""How much passes each way."""
_PIECE = 32 << 10

Record = Callable[[dict[str, object]], None]
"""Writes one event down; durable when it returns."""


@dataclass(slots=True, kw_only=True)
class Relay:
    """Serves one paired Bascule."""

    paired: bytes
    """Ed25519 public key of the Bascule."""
    is_own: Callable[[str], bool]
    """Tells whether an address literal is this machine, as it is now."""
    record: Record
    clock: Callable[[], UnixTime]
    entropy: Entropy
    rate: float = 50.0
    """Connections to targets a second."""
    _open: int = field(init=False, default=0)
    _refused_at: int = field(init=False, default=0)
    _unrecorded: int = field(init=False, default=0)
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no connection."""
        self._pace = Pace(self.rate)

    async def listen(self, host: str, port: int, tls: ssl.SSLContext) -> asyncio.Server:
        """Take connections at an address. Raises OSError."""
        return await asyncio.start_server(
            self.serve,
            host,
            port,
            ssl=tls,
            limit=MAX_LINE_BYTES,
            ssl_handshake_timeout=ORDER_SECONDS,
        )

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection of somebody; a callback of `asyncio.start_server`."""
        if self._open >= MAX_OPEN:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(ORDER_SECONDS + CONNECT_SECONDS + RELAY_SECONDS):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, ValueError):
            pass  # the other side has gone, says nothing, or a line without an end
        finally:
            self._open -= 1
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonce = self.entropy(NONCE_BYTES).hex()
        peer = str(writer.get_extra_info("peername", ("",))[0])
        writer.write(line(Greeting(1, nonce)))
        async with asyncio.timeout(ORDER_SECONDS):
            received = await reader.readline()
        try:
            order = verified(received, paired=self.paired, nonce=nonce, now=self.clock())
            address, port = self._allowed(order)
        except OrderError as exc:
            self._note_refusal(peer, str(exc))
            writer.write(line(Reply(False, "forbidden", str(exc))))
            await writer.drain()
            return
        self._note("connect", peer, target=order.connect)
        await self._pace.turn()
        await self._connect(reader, writer, address, port)

    def _allowed(self, order: Order) -> tuple[str, int]:
        """Give where to connect to. Raises `OrderError`.

        All targets are looked at: a list that names what must not be asked is wrong as a
        whole.
        """
        for target in order.targets:
            address, port = literal_and_port(target)
            if self.is_own(address):
                raise OrderError("a vantage point does not connect to its own machine")
            scope = Scope(named=(entry(address),), listed=(entry(address),), owned=True)
            try:
                scope.check(address, address, port)
            except OutOfScopeError as exc:
                raise OrderError(str(exc)) from exc
        return literal_and_port(order.connect)

    async def _connect(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        port: int,
    ) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                inner, outer = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            writer.write(line(Reply(False, "refused", "nothing listens there")))
        except TimeoutError:
            writer.write(line(Reply(False, "silent", "nothing answers at that address")))
        except OSError as exc:
            writer.write(line(Reply(False, "unreachable", exc.strerror or "no route")))
        else:
            writer.write(line(Reply(True)))
            await _relay((reader, outer), (inner, writer))
            return
        await writer.drain()

    def _note_refusal(self, peer: str, why: str) -> None:
        """Write a refusal down, at most one a second: strangers must not fill the disk."""
        self._unrecorded += 1
        if self.clock() > self._refused_at:
            self._note("refused", peer, why=why, number=self._unrecorded)
            self._refused_at, self._unrecorded = self.clock(), 0

    def _note(self, event: str, peer: str, **more: object) -> None:
        self.record({"at": self.clock(), "event": event, "peer": peer, **more})


async def _relay(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Pass bytes on both ways until one side ends; what has come by then is delivered."""
    passing = [asyncio.create_task(_pass(*way)) for way in ways]
    try:
        async with asyncio.timeout(RELAY_SECONDS):
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        for _reader, writer in ways:
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    passed = 0
    while passed < RELAY_BYTES and (data := await reader.read(_PIECE)):
        passed += len(data)
        writer.write(data)
        await writer.drain()
