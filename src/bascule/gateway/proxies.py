"""Reverse proxies in front: who is one, and for whom it speaks.

`X-Forwarded-For` alone is read. A proxy that writes it passes `Forwarded` (RFC 7239) on as
its client sent it, and the other way round; who reads both believes one that nobody wrote.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

MAX_KNOWN = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The proxies that may connect; nobody else is served."""

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks`: in CIDR notation."""
        self._networks = tuple(ipaddress.ip_network(it) for it in networks)
        # Proxies keep connections: the same few texts come again and again.
        self.trusts = lru_cache(MAX_KNOWN)(self._trusts)
        self._client = lru_cache(MAX_KNOWN)(self._right_most_untrusted)

    def client(self, peer: str, forwarded_for: bytes | None) -> str:
        """Give the address of the client for whom the proxy `peer` asks.

        Without a header that is the proxy itself.
        """
        return peer if forwarded_for is None else self._client(peer, forwarded_for)

    def _trusts(self, text: str) -> bool:
        """Tell whether an address is one of a proxy."""
        address = _address(text)
        return address is not None and any(address in it for it in self._networks)

    def _right_most_untrusted(self, peer: str, forwarded_for: bytes) -> str:
        """Go back from proxy to proxy until an address is none of theirs.

        Each proxy adds on the right whom it was asked by; what stands further left than the
        first stranger is the stranger's own word. What is no address ends the way.
        """
        found = peer
        for hop in reversed(forwarded_for.decode("latin-1").split(",")):
            address = _address(hop.strip(" \t"))
            if address is None:
                break
            found = str(address)
            if not self._trusts(found):
                break
        return found


def _address(text: str) -> Address | None:
    """Read an address, as IPv4 where it is one in IPv6; some proxies add the port.

    One with a zone is none: a zone is any text.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if getattr(address, "scope_id", None) is not None:
        return None
    return getattr(address, "ipv4_mapped", None) or address
