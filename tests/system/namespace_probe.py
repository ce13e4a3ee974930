"""Fetches in a network namespace of its own; prints as JSON what came of each.

There, public and private addresses alike are on the loopback interface, a TLS site listens
on each of them, and the system's resolver asks a name server that can change its mind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import struct
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from bascule.net.fetch import FetchError, FetchPolicy, fetch
from bascule.net.resolver import MAX_LOOKUPS, SystemResolver
from certificates import new_authority

PUBLIC, PUBLIC_V6 = "93.184.215.14", "2606:4700::1111"
PRIVATE, PRIVATE_V6, METADATA = "10.0.0.5", "fd00::5", "169.254.169.254"
ADDRESSES = (PUBLIC, PUBLIC_V6, PRIVATE, PRIVATE_V6, METADATA, "127.0.0.1")
UNUSED = "93.184.215.99"

NAMES: dict[str, list[list[str]]] = {
    "public.example": [[PUBLIC]],
    "six.example": [[PUBLIC_V6]],
    "private.example": [[PRIVATE]],
    "local.example": [["127.0.0.1"]],
    "metadata.example": [[METADATA]],
    "mixed.example": [[PUBLIC, PRIVATE]],
    "mixed-six.example": [[PUBLIC, PRIVATE_V6]],
    "mapped.example": [[f"::ffff:{PRIVATE}"]],
    "redirecting.example": [[PUBLIC]],
    "half-deaf.example": [[UNUSED, PUBLIC]],
    "silent.example": [],
    "nobody.example": [[]],
    "rebinding.example": [[PUBLIC], [METADATA]],
}
"""By name, the addresses of one lookup after another; the last for ever."""

LITERALS = (
    METADATA,
    PRIVATE,
    f"[{PRIVATE_V6}]",
    f"[::ffff:{METADATA}]",
    f"[::ffff:{METADATA}%251]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "127.1",
    "localhost",
)
CASES = {
    **{name: f"https://{name}/" for name in NAMES},
    "rebinding.example again": "https://rebinding.example/",
    "private.example listed": "https://private.example/",
    **{host: f"https://{host}/" for host in LITERALS},
}
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
REDIRECT = f"HTTP/1.1 302 Found\r\nLocation: https://{METADATA}/\r\n\r\n".encode()


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA from `NAMES` (RFC 1035 §4), with a time to live of zero."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """Lookups by name; each is a question for A and one for AAAA."""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        labels, kind = question[:-5], int.from_bytes(question[-4:-2])
        name = b".".join(self._labels(labels)).decode().lower()
        version = {1: 4, 28: 6}.get(kind, 0)
        script = NAMES.get(name, [[]])
        if version == 4:
            self.asked[name] += 1
        if not script:
            return
        found = script[min(max(self.asked[name], 1), len(script)) - 1]
        records = [
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(it.packed)) + it.packed
            for it in map(ip_address, found)
            if it.version == version
        ]
        head = data[:2] + struct.pack(">HHHHH", 0x8580, 1, len(records), 0, 0)
        assert self._transport is not None
        self._transport.sendto(head + question + b"".join(records), addr)

    @staticmethod
    def _labels(data: bytes) -> list[bytes]:
        labels = []
        while data:
            size = data[0]
            labels.append(data[1 : size + 1])
            data = data[size + 1 :]
        return labels


class Sites:
    """The same site on every address, which counts who came to which."""

    def __init__(self) -> None:
        self.connections: Counter[str] = Counter()

    async def start(self, tls: ssl.SSLContext) -> None:
        for address in ADDRESSES:
            await asyncio.start_server(
                lambda reader, writer, at=address: self._serve(reader, writer, at),
                address,
                443,
                ssl=tls,
            )
            # Whoever comes without TLS is counted as well.
            await asyncio.start_server(
                lambda _, writer, at=address: self._count(writer, at), address, 80
            )

    async def _count(self, writer: asyncio.StreamWriter, address: str) -> None:
        self.connections[address] += 1
        writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        self.connections[address] += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(REDIRECT if b"redirecting" in head else GOOD)
            await writer.drain()
        writer.close()


async def probe() -> dict[str, dict[str, object]]:
    authority = new_authority()
    with tempfile.TemporaryDirectory() as folder:
        tls = authority.server(Path(folder), *NAMES, *ADDRESSES)
    sites, names = Sites(), NameServer()
    await sites.start(tls)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: names, ("127.0.0.1", 53))
    policy = FetchPolicy(trust=authority.trust, seconds=2)
    found: dict[str, dict[str, object]] = {}
    for case, url in CASES.items():
        sites.connections.clear()
        if "again" not in case:
            names.asked.clear()
        private = ("private.example:443",) if "listed" in case else ()
        try:
            fetched = await fetch(url, replace(policy, private=private))
            outcome = fetched.body.decode()
        except FetchError as exc:
            outcome = str(exc)
        found[case] = {
            "outcome": outcome,
            "connections": dict(sites.connections),
            "lookups": names.asked.total(),
        }
    return {**found, **await crowded(policy)}


async def crowded(policy: FetchPolicy) -> dict[str, dict[str, object]]:
    """Fetch while a silent name server holds up all lookups that one policy may have."""
    held = replace(policy, resolver=SystemResolver())
    waiting = [
        asyncio.create_task(fetch("https://silent.example/", held))
        for _ in range(MAX_LOOKUPS)
    ]
    await asyncio.sleep(0)  # all of them have begun
    outcomes = {}
    for case, used in (("crowded, the same", held), ("crowded, another", policy)):
        try:
            outcomes[case] = (await fetch("https://public.example/", used)).body.decode()
        except FetchError as exc:
            outcomes[case] = str(exc)
    outcomes["crowded, a thread"] = await asyncio.to_thread(lambda: "{}")
    still = [task for task in waiting if not task.done()]
    outcomes["crowded, still"] = str(len(still))
    await asyncio.gather(*waiting, return_exceptions=True)
    return {case: {"outcome": outcome} for case, outcome in outcomes.items()}


if __name__ == "__main__":
    json.dump(asyncio.run(probe()), sys.stdout)
