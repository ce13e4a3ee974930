"""Where a request comes from."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request


def peer_of(request: Request) -> str:
    """Give the client's address, as records have it."""
    return request.client.host if request.client is not None else "unknown"


def source_of(request: Request) -> str:
    """Give whom failures are counted for: an IPv4 address, or an IPv6 network of /64.

    Who has one IPv6 address has a whole /64 of them.
    """
    host = peer_of(request)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
