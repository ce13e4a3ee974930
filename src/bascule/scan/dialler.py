"""Connections of a scan: to addresses that the gate lets through, at the scan's pace."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bascule.scan.exchange import Limits, Stream, WireError
from bascule.scan.pace import Pace
from bascule.scan.place import Place
from bascule.scan.scope import Scope
from bascule.scan.tls import any_certificate, secured

Dial = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to a literal and a port, in cleartext; TLS comes on top of it."""

OnDial = Callable[[str], None]
"""Is told `ADDRESS:PORT` when it is about to be connected to."""


async def open_connection(
    address: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect from this machine, the ordinary way."""
    return await asyncio.open_connection(address, port)


def _nothing(address: str) -> None: ...


@dataclass(slots=True)
class Dialler:
    """Connects to places."""

    scope: Scope
    pace: Pace
    """Kept with other machines."""
    dial: Dial
    trust: Callable[[], ssl.SSLContext]
    _untrusted: dict[Place, str] = field(default_factory=dict)
    """Why the certificate of a place is not trusted."""

    async def connect(
        self, place: Place, limits: Limits, on_dial: OnDial = _nothing
    ) -> Stream:
        """Connect to the first address that takes it.

        Each is checked once more. Raises `WireError` with what the last one gave, or
        `OutOfScopeError`.
        """
        problem = WireError("unreachable", "it has no address")
        for address in place.addresses:
            try:
                return await self._connect(place, address, limits, on_dial)
            except WireError as exc:
                problem = exc
        raise problem

    async def _connect(
        self, place: Place, address: str, limits: Limits, on_dial: OnDial
    ) -> Stream:
        stream = await self._dialled(place, address, limits, on_dial)
        if not place.secure:
            return stream
        if place not in self._untrusted:
            try:
                return await secured(stream, place.host, self.trust(), "", limits)
            except ssl.SSLCertVerificationError as exc:
                self._untrusted[place] = exc.verify_message or "it is not trusted"
                stream = await self._dialled(place, address, limits, on_dial)
        problem = self._untrusted[place]
        return await secured(stream, place.host, any_certificate(), problem, limits)

    async def _dialled(
        self, place: Place, address: str, limits: Limits, on_dial: OnDial
    ) -> Stream:
        self.scope.check(address, place.host, place.port)
        free = self.scope.is_free(address)
        if not free:
            await self.pace.turn()
        named = f"[{address}]:{place.port}" if ":" in address else f"{address}:{place.port}"
        on_dial(named)
        try:
            async with asyncio.timeout(limits.connect_seconds):
                reader, writer = await self.dial(address, place.port)
        except TimeoutError as exc:
            raise WireError("unreachable", "nothing answers at that address") from exc
        except ConnectionRefusedError as exc:
            raise WireError("refused", "nothing listens there") from exc
        except OSError as exc:
            raise WireError("unreachable", _reason(exc)) from exc
        return Stream(reader, writer, named, free)


def _reason(problem: OSError) -> str:
    reasons = {
        errno.EHOSTUNREACH: "no route leads to that address",
        errno.ENETUNREACH: "no route leads to that address",
        errno.EACCES: "this machine forbids the connection",
        errno.EPERM: "this machine forbids the connection",
        errno.EMFILE: "this process may not open more files",
    }
    return reasons.get(problem.errno or 0, "the address cannot be reached")
