"""Which addresses Bascule itself may call (server-side request forgery, CWE-918)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from bascule.config.addresses import host_and_port
from bascule.errors import BasculeError
from bascule.net.resolver import Resolver, system_resolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure answers there inside of its machines
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
"""Special-purpose IPv4 (RFC 6890 and the IANA registry), multicast and reserved."""

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is given out for the public internet (RFC 4291 §2.4)."""

_NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "3fff::/20")  # Teredo is in the first
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(BasculeError):
    """The name leads to an address that must not be called."""


def unmapped(address: Address) -> Address:
    """Give the IPv4 address inside an IPv4-mapped, 6to4 or NAT64 one, else the address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(text: str) -> bool:
    """Tell whether an IP address literal is one of the public internet.

    The lists are ours, since those of `ipaddress` differ between versions of Python.
    """
    if "%" in text:  # a zone: only addresses of one link have that
        return False
    address = unmapped(ipaddress.ip_address(text))
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _GLOBAL_V6 and not any(address in it for it in _NOT_PUBLIC_V6)


def is_loopback_address(text: str) -> bool:
    """Tell whether an IP address literal is one of loopback, however it is dressed."""
    return unmapped(ipaddress.ip_address(text.partition("%")[0])).is_loopback


def source_network(host: str) -> str:
    """Give whom limits of one source are counted for: an IPv4 address, or an IPv6 /64.

    Who has one IPv6 address has a whole /64 of them. What is no address stands for itself.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def literal(host: str) -> Address | None:
    """Read a host that is an IP address written the ordinary way, else None."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def spells_loopback(host: str) -> bool:
    """Tell whether a host is `localhost` or a loopback address written out as such."""
    address = literal(host)
    return host == "localhost" or (address is not None and address.is_loopback)


async def allowed_addresses(
    host: str,
    port: int,
    *,
    private: Iterable[str],
    loopback: bool,
    allows: Callable[[str], bool] = is_public,
    resolver: Resolver = system_resolver,
) -> list[str]:
    """Find the addresses that may be connected to, in the resolver's order, at least one.

    `private` names the HOST:PORT pairs that may have private addresses; with `loopback`,
    `localhost` and loopback addresses written out as such may too. All addresses of the
    name must be allowed: one with a public and a private address is refused. Connect to
    one of these, and do not ask for the name again: it may answer differently.
    Raises `ForbiddenAddressError`, or OSError when the name does not resolve.
    """
    bare = host.strip("[]").lower()
    spelt_loopback = loopback and spells_loopback(bare)
    listed = (bare, port) in {_host_and_port(entry) for entry in private}
    found = await resolver(bare, port)
    if not found:
        raise OSError("the name has no address")
    for address in found:
        if spelt_loopback and not is_loopback_address(address):
            raise ForbiddenAddressError(f"`{host}` does not resolve to loopback")
        if not (spelt_loopback or listed or allows(address)):
            raise ForbiddenAddressError(
                f"`{host}` has a private address; if it is your own host, "
                f'add "{host}:{port}" to `network.private`'
            )
    return found


def _host_and_port(entry: str) -> tuple[str, int] | None:
    place = host_and_port(entry)
    return None if place is None else (place[0].lower(), place[1])


async def resolve(host: str, port: int, *, private: Iterable[str]) -> str:
    """Find the one address to connect to for a host that the configuration names.

    Raises `ForbiddenAddressError`, or OSError when the name does not resolve.
    """
    return (await allowed_addresses(host, port, private=private, loopback=True))[0]
