"""Prepares the network of a sandbox from within, and the limits of its first process.

    python -I -S namespace.py INFO_FD SOCKET_FD

`bwrap` writes its child's process id to the other end of INFO_FD, makes the namespaces,
and waits. SOCKET_FD gives one line of JSON: `listen`, a list of [address, port]; `limits`,
a list of [resource, value]; `groups`, files of control groups. It takes back `ok` with the
descriptors of two packet sockets and of the listeners, or a sentence.

A program of its own, since only a process with one thread may join a user namespace, and
what has joined it is never the supervisor. It imports nothing of Bascule and needs no
privilege: whoever made a user namespace has all capabilities in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import sys
import time

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS = 0xB701
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.0005
BACKLOG = 64

_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_SO_ATTACH_FILTER, _SO_LOCK_FILTER = 26, 44
_LOOPBACK_INDEX = 1
_RTM_NEWROUTE = 24
_NLM_REQUEST_ACK_CREATE = 0x1 | 0x4 | 0x400
_RT_TABLE_LOCAL, _RTPROT_STATIC, _RT_SCOPE_HOST, _RTN_LOCAL = 255, 4, 254, 2
_RTA_OIF = 4


def main() -> None:
    """Prepare, and hand the descriptors over."""
    info, control = int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    try:
        wanted = json.loads(control.makefile("rb").readline())
        child = _child(info)
        network, owner = _settled(child)
        for entrance in wanted["groups"]:
            _write(entrance, str(child))
        for number, value in wanted["limits"]:
            resource.prlimit(child, number, (value, value))
        _join(owner, CLONE_NEWUSER)
        _join(network, CLONE_NEWNET)
        made = _sockets(wanted["listen"])
    except (OSError, ValueError, KeyError) as exc:
        control.sendall(f"{type(exc).__name__}: {exc}".encode()[:500])
        sys.exit(1)
    socket.send_fds(control, [b"ok"], [it.fileno() for it in made])


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - few imports
        file.write(text)


def _child(info: int) -> int:
    told = b""
    while b"}" not in told:
        piece = os.read(info, 4096)
        if not piece:
            raise OSError("bwrap ended before it had made the sandbox")
        told += piece
    return int(json.loads(told)["child-pid"])


def _settled(child: int) -> tuple[int, int]:
    """Wait until the child makes no more namespaces: its network, and who owns that.

    `bwrap` first makes a user namespace that owns the others, then one more inside of it,
    in which there are no privileges; after that it waits to be let on. Limits may be set
    only then, since the number of processes is one of each user namespace.
    """
    end = time.monotonic() + _WAIT_SECONDS
    ours = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - few imports
    while time.monotonic() < end:
        network = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(network).st_ino != ours:
            owner = fcntl.ioctl(network, _NS_GET_USERNS)
            user = os.stat(f"/proc/{child}/ns/user").st_ino  # noqa: PTH116
            if os.fstat(owner).st_ino != user:
                return network, owner
            os.close(owner)
        os.close(network)
        time.sleep(_POLL_SECONDS)
    raise OSError("bwrap did not make its namespaces in time")


def _join(descriptor: int, kind: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _sockets(listen: list[tuple[str, int]]) -> list[socket.socket]:
    """Make all addresses ones of this namespace, and listen on those that are approved.

    So a connection to anywhere else is refused at once, by a packet that can be seen, and
    that tells what was wanted.
    """
    made = [_tap(_ETH_P_IP, _REFUSALS_V4)]
    _make_local(socket.AF_INET)
    # A kernel may be without IPv6.
    with contextlib.suppress(OSError):
        _make_local(socket.AF_INET6)
    made.append(_tap(_ETH_P_IPV6, _REFUSALS_V6))
    for address, port in listen:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        made.append(listener)
    return made


def _make_local(family: int) -> None:
    """Route every address to loopback as one of this machine's own (`rtnetlink(7)`)."""
    attribute = struct.pack("=HHI", 8, _RTA_OIF, _LOOPBACK_INDEX)
    kind = (_RT_TABLE_LOCAL, _RTPROT_STATIC, _RT_SCOPE_HOST, _RTN_LOCAL)
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, *kind, 0) + attribute
    size = 16 + len(body)
    header = struct.pack("=IHHII", size, _RTM_NEWROUTE, _NLM_REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(header + body)
        answer = route.recv(4096)
    (error,) = struct.unpack_from("=i", answer, 16)
    if error:
        raise OSError(-error, f"cannot route to loopback: {os.strerror(-error)}")


# Classic BPF over packets from their IP header on: those that say that nobody listens. TCP:
# RST and ACK with the sequence number 0 (RFC 9293 §3.5.2). UDP: ICMP "unreachable" (RFC
# 792, RFC 4443 §3.1), which brings the packet that was refused. Rows: code, jt, jf, k.
_REFUSALS_V4 = (
    (0x30, 0, 0, 9),  # protocol
    (0xB1, 0, 0, 0),  # X = length of the IP header
    (0x15, 0, 2, 1),  # ICMP
    (0x50, 0, 0, 0),
    (0x15, 5, 6, 3),  # destination unreachable
    (0x15, 0, 5, 6),  # TCP
    (0x40, 0, 0, 4),  # sequence number
    (0x15, 0, 3, 0),
    (0x50, 0, 0, 13),  # flags
    (0x15, 0, 1, 0x14),
    (0x06, 0, 0, 0x0400),
    (0x06, 0, 0, 0),
)
_REFUSALS_V6 = (
    (0x30, 0, 0, 6),  # next header
    (0x15, 0, 2, 58),  # ICMPv6
    (0x30, 0, 0, 40),
    (0x15, 5, 6, 1),  # destination unreachable
    (0x15, 0, 5, 6),  # TCP
    (0x20, 0, 0, 44),
    (0x15, 0, 3, 0),
    (0x30, 0, 0, 53),
    (0x15, 0, 1, 0x14),
    (0x06, 0, 0, 0x0400),
    (0x06, 0, 0, 0),
)


def _tap(protocol: int, program: tuple[tuple[int, int, int, int], ...]) -> socket.socket:
    """Open a socket that receives what says that something was refused."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *it) for it in program)
    )
    filter_ = struct.pack("@HP", len(program), ctypes.addressof(code))
    tap.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
    tap.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
    tap.bind(("lo", protocol))
    tap.setblocking(False)
    return tap


if __name__ == "__main__":
    main()
