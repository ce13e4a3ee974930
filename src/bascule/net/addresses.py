"""Which addresses Bascule itself may call (server-side request forgery, CWE-918)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

from bascule.errors import BasculeError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenAddressError(BasculeError):
    """The name leads to an address that must not be called."""


def unmapped(address: Address) -> Address:
    """Give the IPv4 address inside an IPv4-mapped, 6to4 or NAT64 one, else the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(text: str) -> bool:
    """Tell whether an IP address literal is one of the public internet."""
    address = unmapped(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


def literal(host: str) -> Address | None:
    """Read a host that is an IP address written the ordinary way, else None."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


async def resolve(host: str, port: int, *, private: Iterable[str]) -> str:
    """Find the one address to connect to.

    `private` names the HOST:PORT pairs that may have private addresses; a loopback address
    written out as such, or `localhost`, needs no entry. Every address that a name has must
    be allowed, so that a name with a public and a private one is refused. Raises
    `ForbiddenAddressError`, or OSError when the name does not resolve.
    """
    bare = host.strip("[]")
    address = literal(host)
    spelt_loopback = bare == "localhost" or (address is not None and address.is_loopback)
    allowed = spelt_loopback or f"{host}:{port}" in set(private)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(bare, port, type=socket.SOCK_STREAM)
    addresses = [str(item[4][0]) for item in found]
    for candidate in addresses:
        if not allowed and not is_public(candidate):
            raise ForbiddenAddressError(
                f"`{host}` has a private address; if it is your own host, "
                f'add "{host}:{port}" to `network.private`'
            )
        if spelt_loopback and not unmapped(ipaddress.ip_address(candidate)).is_loopback:
            raise ForbiddenAddressError(f"`{host}` does not resolve to loopback")
    return addresses[0]
