"""The kernel's tables of TCP sockets, one for each network namespace (proc_pid_net(5))."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from pathlib import Path
from typing import NamedTuple

_LISTENING = "0A"


class TableRow(NamedTuple):
    """A listening socket."""

    address: str
    port: int
    user_id: int
    inode: int


def listening(process: Path) -> list[TableRow]:
    """Give the listening sockets of the namespace that a process (`/proc/PID`) is in.

    Raises OSError when they cannot be read.
    """
    rows = _read(process / "net" / "tcp")
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        rows += _read(process / "net" / "tcp6")
    return rows


def _read(table: Path) -> list[TableRow]:
    with table.open(encoding="utf-8") as file:
        next(file, None)
        return [_row(it) for it in map(str.split, file) if it[3] == _LISTENING]


def _row(columns: list[str]) -> TableRow:
    address, _, port = columns[1].partition(":")
    literal = str(ipaddress.ip_address(_packed(address)))
    return TableRow(literal, int(port, 16), int(columns[7]), int(columns[9]))


def _packed(digits: str) -> bytes:
    """Read an address, which is written as 32-bit numbers in the machine's byte order."""
    words = (int(digits[at : at + 8], 16) for at in range(0, len(digits), 8))
    return b"".join(word.to_bytes(4, sys.byteorder) for word in words)
