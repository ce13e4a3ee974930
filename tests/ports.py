"""Ports for servers that are told theirs: no other process of the tests gets the same.

A port that is only looked up and let go can be given to another process before the server
binds it; with tests in several processes that happens. So each process holds a block of
ports, by binding the first of them for as long as it lives. The blocks lie below 32768:
from there on Linux takes ports for whoever asks for any.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from functools import cache

BLOCK = 100
BLOCKS = range(10_000, 30_000, BLOCK)


def free_ports(count: int) -> list[int]:
    """Give ports that are free on loopback, all different; each comes round again late."""
    assert count < BLOCK
    _, numbers = _own_block()
    return list(itertools.islice(filter(_is_free, numbers), count))


@cache
def _own_block() -> tuple[socket.socket, Iterator[int]]:
    """Take a block that no other process has; gives what holds it, and its other ports."""
    for first in BLOCKS:
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", first))
        except OSError:
            guard.close()
            continue
        return guard, itertools.cycle(range(first + 1, first + BLOCK))
    raise AssertionError("each block of ports is taken")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
