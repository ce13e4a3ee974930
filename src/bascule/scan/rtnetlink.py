"""The addresses of this network namespace, asked of the Linux kernel (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator

Entry = tuple[str, str, int]
"""Interface, address literal without a zone, length of the prefix."""

_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_HEADER = struct.Struct("=IHHII")
_ADDRESS_HEADER = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_MAX_DATAGRAM = 1 << 18
_SECONDS = 5.0


def entries() -> list[Entry]:
    """Ask for all addresses. Raises OSError when the kernel refuses or does not answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as link:
        link.settimeout(_SECONDS)
        body = _ADDRESS_HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        size = _HEADER.size + len(body)
        link.send(_HEADER.pack(size, _GET_ADDRESS, _REQUEST_DUMP, 1, 0) + body)
        found: list[Entry] = []
        last = False
        while not last:
            more, last = read(link.recv(_MAX_DATAGRAM), socket.if_indextoname)
            found += more
        return found


def read(answer: bytes, name_of: Callable[[int], str]) -> tuple[list[Entry], bool]:
    """Read one datagram of an answer: its addresses, and whether it was the last.

    Raises OSError when the kernel refused, or the datagram is none of this protocol.
    """
    found: list[Entry] = []
    for kind, body in _messages(answer):
        if kind == _ERROR:
            raise OSError("the system does not list its addresses")
        if kind == _DONE:
            return found, True
        if kind == _NEW_ADDRESS:
            _family, prefix, _flags, _scope, index = _ADDRESS_HEADER.unpack_from(body)
            packed = _local_address(body[_ADDRESS_HEADER.size :])
            # An interface that has gone since then has taken its addresses with it.
            with contextlib.suppress(OSError):
                found.append((name_of(index), str(ipaddress.ip_address(packed)), prefix))
    return found, False


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    while answer:
        length, kind = _HEADER.unpack_from(_whole(answer, _HEADER.size))[:2]
        yield kind, _whole(answer, max(length, _HEADER.size))[_HEADER.size : length]
        answer = answer[_aligned(length) :]


def _local_address(attributes: bytes) -> bytes:
    """Give the end of a point-to-point link that is here, else the address."""
    found: dict[int, bytes] = {}
    while attributes:
        length, kind = _ATTRIBUTE.unpack_from(_whole(attributes, _ATTRIBUTE.size))
        found[kind] = attributes[_ATTRIBUTE.size : length]
        attributes = attributes[max(_aligned(length), _ATTRIBUTE.size) :]
    packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b""))
    if len(packed) not in {4, 16}:
        raise OSError("the system lists an address of a kind that is not known")
    return packed


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise OSError("the list of the system's addresses is cut off")
    return data


def _aligned(length: int) -> int:
    return (length + 3) & ~3
