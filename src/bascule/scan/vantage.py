"""Probing from elsewhere: connections that a vantage point makes for us."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.scan.vantage_order import (
    MAX_LINE_BYTES,
    Greeting,
    Reply,
    new_order,
    signed,
    target_text,
)

SECONDS = 8.0
"""Within which a vantage point must have been connected to, and have answered an order."""
DIAL_SECONDS = 3 * SECONDS
"""How long a wire has to wait for a connection (`connect_seconds`), so that a vantage point
that is slow is never taken for a target that is out of reach."""


class VantageError(BasculeError):
    """The vantage point itself cannot be used: nothing is known of the target.

    No `OSError`, so that a wire never takes it for the target being out of reach.
    """


@dataclass(frozen=True, slots=True)
class Vantage:
    """A vantage point, paired with this Bascule."""

    host: str
    """Where it listens: an address literal."""
    port: int
    fingerprint: str
    """SHA-256 of its certificate, in hexadecimal: it is known by nothing else."""
    key: Ed25519PrivateKey
    """What it knows this Bascule by."""
    targets: tuple[str, ...]
    """`ADDRESS:PORT` of all that is to be probed, named in each order."""
    clock: Callable[[], UnixTime]
    seconds: float = SECONDS

    async def dial(
        self, address: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a target from there; a `Dial` of the wire.

        Raises as a connection from here would, so that `refused` is the target's word, and
        `VantageError` for what is the vantage point's own.
        """
        reader, writer = await self._connect()
        try:
            reply = await self._answered(reader, writer, target_text(address, port))
            _check(reply)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # No authority vouches for it: the pin below does, before anything is sent.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout(self.seconds):
                reader, writer = await asyncio.open_connection(
                    self.host, self.port, ssl=context, limit=MAX_LINE_BYTES
                )
        except (OSError, TimeoutError) as exc:
            raise self._silent() from exc
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if hashlib.sha256(certificate or b"").hexdigest() != self.fingerprint:
            writer.transport.abort()
            raise VantageError(
                f"what answers at {self.host} is not the vantage point that was paired: "
                "its certificate is another one"
            )
        return reader, writer

    async def _answered(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
    ) -> Reply:
        try:
            async with asyncio.timeout(self.seconds):
                return await self._order(reader, writer, target)
        except (OSError, TimeoutError) as exc:
            raise self._silent() from exc

    def _silent(self) -> VantageError:
        place = target_text(self.host, self.port)
        return VantageError(f"the vantage point at {place} does not answer")

    async def _order(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
    ) -> Reply:
        try:
            greeting = msgspec.json.decode(await reader.readline(), type=Greeting)
            order = new_order(greeting.nonce, self.targets, target, now=self.clock())
            writer.write(signed(order, self.key))
            return msgspec.json.decode(await reader.readline(), type=Reply)
        except (msgspec.DecodeError, UnicodeError, ValueError) as exc:
            raise VantageError("the vantage point speaks another protocol") from exc


def _check(reply: Reply) -> None:
    if reply.ok:
        return
    if reply.failure == "refused":
        raise ConnectionRefusedError(reply.why)
    if reply.failure == "silent":
        raise TimeoutError(reply.why)
    if reply.failure == "unreachable":
        raise OSError(reply.why)
    raise VantageError(f"the vantage point refuses: {reply.why[:200]}")


def targets_of(places: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Write the targets of a probe as orders name them."""
    return tuple(dict.fromkeys(target_text(*it) for it in places))
