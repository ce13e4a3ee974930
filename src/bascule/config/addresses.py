"""Addresses as the configuration writes them; no name is ever looked up here."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


def host_and_port(text: str) -> tuple[str, int] | None:
    """Read HOST:PORT, with an IPv6 address in brackets; None when it is not one."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit():
        return None
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return None
    return (host.strip("[]"), int(port)) if int(port) < 65536 else None


def is_loopback(host: str) -> bool:
    """Tell whether a host is `localhost` or an address of loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_network(text: str) -> bool:
    """Tell whether a text is a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def web_address(text: str) -> SplitResult | None:
    """Read an http or https URL with a host; None when it is not one."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        return parts if usable and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None
