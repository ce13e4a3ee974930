"""Addresses as the configuration writes them; no name is ever looked up here."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_IPV4_IN_IPV6 = ipaddress.IPv6Network("::ffff:0:0/96")
_URL_CHARACTERS = re.compile(r"[!-~]+")
"""Visible ASCII: `urlsplit` drops tabs and line ends, who sends the URL might not."""


def host_and_port(text: str) -> tuple[str, int] | None:
    """Read HOST:PORT, with an IPv6 address in brackets; None when it is not one."""
    host, _, port = text.rpartition(":")
    if _PORT.fullmatch(port) is None or int(port) > 65535:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        return (host, int(port)) if _is_ipv6(host) else None
    return (host, int(port)) if _HOST_NAME.fullmatch(host) else None


def is_loopback(host: str) -> bool:
    """Tell whether a host is `localhost` or an address of loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_literal(host: str) -> bool:
    """Tell whether a host is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Tell whether a text is a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_comparable_network(text: str) -> bool:
    """Tell whether addresses of clients can be in a network, given in CIDR notation.

    They are compared without zone, and as IPv4 where they are that inside of IPv6.
    """
    return "%" not in text and ipaddress.ip_network(text)[0] not in _IPV4_IN_IPV6


def web_address(text: str) -> SplitResult | None:
    r"""Read an http or https URL with a host; None when it is not one.

    `\` is refused, since some parsers take it for `/` and find another host.
    """
    if _URL_CHARACTERS.fullmatch(text) is None or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    known = _HOST_NAME.fullmatch(host) is not None or _is_ipv6(host)
    return parts if parts.scheme in {"http", "https"} and known and port != 0 else None


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
