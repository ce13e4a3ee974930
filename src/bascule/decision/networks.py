"""Networks from which a connector may be used: the inward half of its boundary."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

MAX_KNOWN = 4096


class Networks:
    """A set of networks, and what was asked of it before."""

    __slots__ = ("_networks", "holds")

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks`: in CIDR notation."""
        self._networks = tuple(ipaddress.ip_network(it) for it in networks)
        # The same few clients come again and again.
        self.holds = lru_cache(MAX_KNOWN)(self._holds)

    def _holds(self, text: str) -> bool:
        """Tell whether an address is in one of them; what is no address is in none.

        An IPv4 address inside of an IPv6 one (RFC 4291 §2.5.5.2) counts as that, since it
        is how a socket for both shows its clients. A zone (RFC 4007 §11) says on which of
        the links, not from which network.
        """
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        found = getattr(address, "ipv4_mapped", None) or address
        return any(found in network for network in self._networks)


def is_within(network: str, others: Iterable[str]) -> bool:
    """Tell whether one of several networks covers a network, all in CIDR notation.

    Several that cover it together do not count.
    """
    inner = ipaddress.ip_network(network)
    for text in others:
        outer = ipaddress.ip_network(text)
        # By address and prefix: `subnet_of` wants to know that both are of one version.
        same = inner.version == outer.version
        if same and inner.prefixlen >= outer.prefixlen and inner.network_address in outer:
            return True
    return False
