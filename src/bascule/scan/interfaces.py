"""The addresses of this machine, by interface, and how far each of them reaches."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from bascule.net.addresses import Address, is_public

Reach = Literal["loopback", "bridge", "link_local", "private", "public"]
"""From where an address is reached by those who have no route made for them; `bridge`: from
containers and virtual machines of this host."""

REACHES: tuple[Reach, ...] = ("loopback", "bridge", "link_local", "private", "public")
"""From the narrowest to the widest."""


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """One address of one interface."""

    interface: str
    address: str
    """A literal without a zone."""
    network: str
    """The network that the interface takes for its own, as a CIDR."""
    reach: Reach

    @property
    def connectable(self) -> str:
        """The literal to connect to: with a zone, where it means nothing without one."""
        if self.reach == "link_local" and ":" in self.address:
            return f"{self.address}%{self.interface}"
        return self.address


def own_addresses() -> tuple[OwnAddress, ...]:
    """Give the addresses of this network namespace, the narrowest reach first.

    Raises OSError where the system does not list them.
    """
    found = {_own(*entry) for entry in _system_entries()}
    return tuple(
        sorted(found, key=lambda it: (REACHES.index(it.reach), it.interface, it.address))
    )


def is_own(address: str, own: Iterable[OwnAddress]) -> bool:
    """Tell whether a connection to this literal ends on this machine.

    All loopback addresses do; an IPv4-mapped one is the IPv4 address in it.
    """
    target = plain(address)
    return target.is_loopback or any(plain(it.address) == target for it in own)


def reach_of(address: str, *, bridge: bool = False) -> Reach:
    """Say from where an address literal of this machine is reached."""
    value = plain(address)
    if value.is_loopback:
        return "loopback"
    if bridge:
        return "bridge"
    if value.is_link_local:
        return "link_local"
    return "public" if is_public(str(value)) else "private"


@lru_cache(4096)  # asked for each connection of a scan
def plain(address: str) -> Address:
    """Read a literal without its zone; of an IPv4-mapped one the IPv4 address.

    The IPv4 address in other IPv6 ones (NAT64, 6to4) is where a translator elsewhere sends
    to, so that these stay what they are. Raises ValueError.
    """
    value = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(value, "ipv4_mapped", None)
    return value if mapped is None else mapped


def _own(interface: str, address: str, prefix: int) -> OwnAddress:
    network = ipaddress.ip_network((address, prefix), strict=False)
    reach = reach_of(address, bridge=is_inner_bridge(interface))
    return OwnAddress(interface, address, str(network), reach)


def is_inner_bridge(interface: str, devices: Path = Path("/sys/class/net")) -> bool:
    """Tell a bridge that no card of this machine is in, as container engines make them.

    A port that stands for other interfaces (a bond, a VLAN) may have a card beneath it.
    """
    try:
        ports = [devices / it.name for it in (devices / interface / "brif").iterdir()]
    except OSError:
        return False
    return not any((port / "device").exists() or [*port.glob("lower_*")] for port in ports)


if sys.platform == "linux":

    def _system_entries() -> list[tuple[str, str, int]]:
        from bascule.scan import rtnetlink

        return rtnetlink.entries()

else:

    def _system_entries() -> list[tuple[str, str, int]]:
        import psutil

        return [
            (interface, it.address.partition("%")[0], _prefix(it.address, it.netmask))
            for interface, addresses in psutil.net_if_addrs().items()
            for it in addresses
            if it.family in {socket.AF_INET, socket.AF_INET6}
        ]

    def _prefix(address: str, mask: str | None) -> int:
        """Count the bits of a mask that is written out; without one, of the address."""
        if mask is None:
            return ipaddress.ip_address(address.partition("%")[0]).max_prefixlen
        return int(ipaddress.ip_address(mask)).bit_count()
