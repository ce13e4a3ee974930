"""What a sandboxed server wanted to reach and could not, read from the refusing packets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_DNS_PORT = 53
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A place where nobody listens; a name with the port 0 when it was looked up."""

    host: str
    port: int


def read_refusal(packet: bytes) -> Refused | None:
    """Read one packet from its IP header on; None for what tells nothing.

    What was wanted is where the refusal comes from: the source of a TCP reset, the
    destination of the packet inside of an ICMP message. Never raises.
    """
    try:
        return _read(packet)
    except (IndexError, ValueError):
        return None


def _read(packet: bytes) -> Refused | None:
    protocol, source, _, payload = _ip(packet)
    if protocol == _TCP:
        return Refused(source, _port(payload, 0))
    if protocol not in {_ICMP, _ICMPV6}:
        return None
    inner, _, destination, refused = _ip(payload[8:])
    if inner != _UDP:
        return Refused(destination, 0) if inner != _TCP else None
    port = _port(refused, 2)
    if port == _DNS_PORT:
        name = _question(refused[8:])
        if name is not None:
            return Refused(name, 0)
    return Refused(destination, port)


def _ip(packet: bytes) -> tuple[int, str, str, bytes]:
    """Give protocol, source, destination and payload."""
    if packet[0] >> 4 == 4:
        size = (packet[0] & 15) * 4
        source, destination = packet[12:16], packet[16:20]
        protocol = packet[9]
    else:
        size, protocol = 40, packet[6]
        source, destination = packet[8:24], packet[24:40]
    return protocol, _address(source), _address(destination), packet[size:]


def _address(raw: bytes) -> str:
    return str(ipaddress.ip_address(raw))


def _port(segment: bytes, at: int) -> int:
    if len(segment) < at + 2:
        raise ValueError("cut")
    return int.from_bytes(segment[at : at + 2], "big")


def _question(message: bytes) -> str | None:
    """Give the first name that a DNS message asks for (RFC 1035 §4.1.2)."""
    at, labels = 12, []
    while message[at]:
        size = message[at]
        if size > 63:
            return None
        labels.append(message[at + 1 : at + 1 + size])
        at += 1 + size
    name = b".".join(labels).decode("ascii", "replace")
    return name.lower() if _NAME.fullmatch(name) else None
