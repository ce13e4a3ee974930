"""A scan of the machine that this program runs on."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Sequence

from bascule.scan.configured import Configured
from bascule.scan.host import HostScan, scan_host
from bascule.scan.local_view import look
from bascule.scan.named import Named
from bascule.scan.sockets import Done
from bascule.scan.surroundings import Surroundings
from bascule.scan.wire import Wire

_MOST_OPEN = 2048
_SPARE_FILES = 64


async def scan_this_host(
    wire: Wire,
    named: Sequence[Named],
    *,
    user_id: int | None,
    bascule_ports: frozenset[int] = frozenset(),
    done: Done = lambda _done, _all: None,
) -> HostScan:
    """Scan this machine; `user_id` is whose files gave the names, None for all users'.

    The wire is closed in the end. Raises OSError where the system does not say what runs.
    """
    around = Surroundings(
        view=look(),
        own=wire.scope.own,
        named=tuple(named),
        host_names=tuple(_host_names()),
        bascule_ports=bascule_ports,
        user_id=user_id,
    )
    try:
        return await scan_host(wire, around, done=done)
    finally:
        wire.close()


def named_by_clients(servers: Iterable[Configured]) -> list[Named]:
    """Give what clients' files name."""
    return [
        Named(
            name=it.shown_name,
            command=it.command,
            url=it.url,
            client=it.client,
            path=it.path,
        )
        for it in servers
    ]


def _host_names() -> Iterable[str]:
    full = socket.gethostname().lower()
    short = full.partition(".")[0]
    return dict.fromkeys(
        (
            full,
            short,
            f"{short}.local",
            "host.docker.internal",
            "kubernetes.docker.internal",
        )
    )


def most_open() -> int:
    """Allow this process more open files, and say how many connections then fit."""
    if sys.platform == "win32":
        return _MOST_OPEN // 4
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = _MOST_OPEN + _SPARE_FILES
        allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        soft = max(soft, allowed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return min(_MOST_OPEN, soft - _SPARE_FILES)
    return _MOST_OPEN


def whose_files() -> int | None:
    """Say whose files can be read: one user's, or all users', as root or where unknown."""
    if sys.platform == "win32":
        return None
    return os.geteuid() or None
