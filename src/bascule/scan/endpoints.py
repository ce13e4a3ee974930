"""Where a listening socket is asked: the addresses of this machine that lead to it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bascule.scan.interfaces import REACHES, OwnAddress, plain, reach_of
from bascule.scan.local_view import HERE, Listener
from bascule.scan.report import Gap

ANY_V4, ANY_V6 = "0.0.0.0", "::"  # noqa: S104 - compared, not bound
MOST_ADDRESSES = 64
"""Addresses of one socket that are asked; a host of containers has hundreds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A socket, and the addresses to ask it at, the narrowest reach first."""

    listener: Listener
    addresses: tuple[OwnAddress, ...]
    also: tuple[Listener, ...] = ()
    """Sockets of the same process at the same port, as for IPv6 beside IPv4."""


def endpoints(
    listeners: Iterable[Listener], own: Sequence[OwnAddress]
) -> tuple[list[Endpoint], list[Gap]]:
    """Give where to ask each socket, and what cannot be asked from here.

    Several sockets at one address and port (SO_REUSEPORT) are one.
    """
    here = {(it.address, it.port): it for it in listeners if it.network is None}
    found = [_together(group, here, own) for group in _by_process(here.values())]
    gaps = [
        Gap(
            target=f"port {it.listener.port}",
            what=f"whether MCP is spoken at {bound(it.listener)}",
            why="no address of this machine leads there",
        )
        for it in found
        if not it.addresses
    ]
    gaps += [
        Gap(
            target=f"port {it.listener.port}",
            what=f"{len(it.addresses) - MOST_ADDRESSES} of its addresses",
            why=f"no more than {MOST_ADDRESSES} are asked",
        )
        for it in found
        if len(it.addresses) > MOST_ADDRESSES
    ]
    asked = [it for it in found if it.addresses]
    return asked, [*gaps, *_elsewhere(listeners)]


def _by_process(listeners: Iterable[Listener]) -> Iterable[list[Listener]]:
    """Put sockets together that one process has at one port: they are one server."""
    groups: dict[tuple[object, int], list[Listener]] = {}
    for it in listeners:
        whose = it.address if it.process is None else it.process.pid
        groups.setdefault((whose, it.port), []).append(it)
    return groups.values()


def _together(
    group: Sequence[Listener],
    here: Mapping[tuple[str, int], Listener],
    own: Sequence[OwnAddress],
) -> Endpoint:
    each = {it for listener in group for it in _addresses(listener, here, own)}
    addresses = sorted(
        each, key=lambda it: (REACHES.index(it.reach), plain(it.address).version)
    )
    return Endpoint(group[0], tuple(addresses), tuple(group[1:]))


def bound(listener: Listener) -> str:
    """Write what a socket is bound to: `0.0.0.0:8000`."""
    host = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{host}:{listener.port}"


def _addresses(
    listener: Listener,
    here: Mapping[tuple[str, int], Listener],
    own: Sequence[OwnAddress],
) -> tuple[OwnAddress, ...]:
    # An address that has a socket of its own at this port leads to that one.
    free = [it for it in own if (it.address, listener.port) not in here]
    if listener.address == ANY_V4:
        return tuple(it for it in free if plain(it.address).version == 4)
    if listener.address == ANY_V6:
        # It takes IPv4 as well, unless another socket does that at this port.
        both = (ANY_V4, listener.port) not in here
        return tuple(it for it in free if both or plain(it.address).version == 6)
    exact = tuple(it for it in own if plain(it.address) == plain(listener.address))
    return exact or (_of_listener(listener),)


def _of_listener(listener: Listener) -> OwnAddress:
    """Take an address that no interface has, as of all 127.0.0.0/8, for one of loopback."""
    network = str(ipaddress.ip_network(plain(listener.address)))
    return OwnAddress("", listener.address, network, reach_of(listener.address))


def _elsewhere(listeners: Iterable[Listener]) -> Iterable[Gap]:
    """Say what listens in other network namespaces."""
    inside: dict[int, list[Listener]] = {}
    for listener in listeners:
        if listener.network is not None:
            inside.setdefault(listener.network, []).append(listener)
    for found in inside.values():
        process = next((it.process for it in found if it.process is not None), None)
        where = process.container if process is not None else None
        pid = "PID" if process is None else process.pid
        yield Gap(
            target=where or HERE,
            what="whether MCP is spoken in another network namespace, at "
            + ", ".join(sorted({bound(it) for it in found})),
            why="addresses of another namespace cannot be asked from here: "
            f"`nsenter --target {pid} --net bascule scan host` asks there",
        )
