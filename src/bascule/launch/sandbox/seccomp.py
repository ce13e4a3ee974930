"""Which system calls a sandboxed process is refused.

A deny list, as container engines have it, since nobody knows what a server of any language
needs; but with an end: calls newer than the list do not exist. It is a second wall behind
the namespaces, and the only one around sockets where there are none.
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache

from bascule.launch.sandbox import bpf
from bascule.launch.sandbox.bpf import Instruction, Operation
from bascule.launch.sandbox.system_calls import (
    NEWEST,
    X32_BIT,
    Calls,
    Machine,
    calls_of,
)

_MACHINES: dict[str, Machine] = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
}

CLONE_NEW = 0x7E020000
"""Flags of `clone` that make namespaces: cgroup, ipc, mount, net, pid, user, uts."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
"""Both put characters into a terminal as if somebody had typed them."""
SET_ID_BITS = 0o6000
O_CREAT, O_TMPFILE = 0o100, 0o20000000

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
_TYPE_MASK = 0xF
_STREAM, _DATAGRAM = 1, 2
_TCP, _UDP, _MPTCP = 6, 17, 262

_MODES = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mknod": 1,
    "mknodat": 2,
}
"""Which argument is the mode of a file, of what sets one."""
_MODES_OF_OPENED = {"open": (1, 2), "openat": (2, 3)}
"""Which arguments are flags and mode; a mode without `O_CREAT` means nothing."""


class Sockets(Enum):
    """Which sockets a process may open; a pair of connected ones it always may."""

    NONE = "none"
    INTERNET = "internet"
    """TCP and UDP of both versions."""
    ALL = "all"
    """These, and Unix sockets."""


def machine() -> Machine | None:
    """Give the machine that this is; None when its system calls are not known here."""
    return _MACHINES.get(platform.machine().lower())


@lru_cache(8)
def filter_for(kind: Machine, sockets: Sockets) -> bytes:
    """Assemble the filter for a process in namespaces of its own."""
    return bpf.assemble(_program(calls_of(kind), sockets))


@lru_cache(4)
def filter_without_namespaces(kind: Machine, *, signals: bool) -> bytes:
    """Assemble the filter for a process among others: no sockets, nothing that is shared.

    With `signals`, it may not send those either.
    """
    calls = calls_of(kind, outside=True, signals=signals)
    return bpf.assemble(_program(calls, Sockets.NONE))


def _program(calls: Calls, sockets: Sockets) -> Iterator[Instruction]:
    # Another architecture has other numbers: what comes in by that door is an attack.
    yield Instruction(Operation.LOAD, bpf.ARCHITECTURE)
    yield Instruction(Operation.IF_EQUAL, calls.architecture, yes="native")
    yield Instruction(Operation.RETURN, bpf.KILL)
    yield Instruction(Operation.LOAD, bpf.NUMBER, label="native")
    if calls.has_x32:
        yield Instruction(Operation.IF_GREATER_OR_EQUAL, X32_BIT, no="no-x32")
        yield Instruction(Operation.RETURN, bpf.KILL)
        yield Instruction(Operation.IF_GREATER, NEWEST, no="known", label="no-x32")
    else:
        yield Instruction(Operation.IF_GREATER, NEWEST, no="known")
    yield _fail(errno.ENOSYS)
    first, *others = calls.refused
    yield Instruction(Operation.IF_EQUAL, first, no=f"not-{first}", label="known")
    yield _fail(errno.EPERM)
    before = first
    for number in others:
        yield Instruction(
            Operation.IF_EQUAL, number, no=f"not-{number}", label=f"not-{before}"
        )
        yield _fail(errno.EPERM)
        before = number
    yield Instruction(Operation.LOAD, bpf.NUMBER, label=f"not-{before}")
    for name, number in calls.looked_at.items():
        yield Instruction(Operation.IF_EQUAL, number, no=f"after-{name}")
        yield from _conditions(name, sockets)
        yield Instruction(Operation.RETURN, bpf.ALLOW)
        yield Instruction(Operation.LOAD, bpf.NUMBER, label=f"after-{name}")
    yield Instruction(Operation.RETURN, bpf.ALLOW)


def _conditions(name: str, sockets: Sockets) -> Iterator[Instruction]:
    """Refuse one call with some of its arguments; the accumulator is its number."""
    if name == "clone":
        yield from _refuse_bits(name, 0, CLONE_NEW, errno.EPERM)
    elif name in {"clone3", "openat2"}:
        # Their arguments lie in memory, where a filter cannot see them: libraries go back
        # to `clone` and `openat` when there is no such call.
        yield _fail(errno.ENOSYS)
    elif name == "personality":
        yield from _only(name, 0, (0, 0xFFFFFFFF), errno.EPERM)
    elif name == "prlimit64":
        yield from _only(name, 0, (0,), errno.EPERM)
    elif name == "ioctl":
        yield from _refuse_values(name, 1, (TIOCSTI, TIOCLINUX), errno.EPERM)
    elif name == "socket":
        yield from _sockets(sockets)
    elif name in _MODES_OF_OPENED:
        flags, mode = _MODES_OF_OPENED[name]
        yield Instruction(Operation.LOAD, bpf.argument(flags))
        yield Instruction(Operation.IF_ANY_BIT, O_CREAT | O_TMPFILE, no=f"{name}-fine")
        yield from _refuse_bits(name, mode, SET_ID_BITS, errno.EPERM)
        yield Instruction(Operation.RETURN, bpf.ALLOW, label=f"{name}-fine")
    else:
        # A file with these bits would give its owner's rights to others of the host.
        yield from _refuse_bits(name, _MODES[name], SET_ID_BITS, errno.EPERM)


def _sockets(allowed: Sockets) -> Iterator[Instruction]:
    if allowed is Sockets.NONE:
        yield _fail(errno.EACCES)
        return
    yield Instruction(Operation.LOAD, bpf.argument(0))
    if allowed is Sockets.ALL:
        yield Instruction(Operation.IF_EQUAL, AF_UNIX, no="not-unix")
        yield Instruction(Operation.RETURN, bpf.ALLOW)
    yield Instruction(Operation.IF_EQUAL, AF_INET, yes="internet", label="not-unix")
    yield Instruction(Operation.IF_EQUAL, AF_INET6, yes="internet")
    yield _fail(errno.EAFNOSUPPORT)
    yield Instruction(Operation.LOAD, bpf.argument(1), label="internet")
    yield Instruction(Operation.AND, _TYPE_MASK)
    yield from _only("type", None, (_STREAM, _DATAGRAM), errno.EPERM)
    yield from _only("protocol", 2, (0, _TCP, _UDP, _MPTCP), errno.EPROTONOSUPPORT)


def _refuse_bits(name: str, index: int, bits: int, error: int) -> Iterator[Instruction]:
    yield Instruction(Operation.LOAD, bpf.argument(index))
    yield Instruction(Operation.IF_ANY_BIT, bits, no=f"{name}-clean")
    yield _fail(error)
    yield Instruction(Operation.RETURN, bpf.ALLOW, label=f"{name}-clean")


def _refuse_values(
    name: str, index: int, values: tuple[int, ...], error: int
) -> Iterator[Instruction]:
    yield Instruction(Operation.LOAD, bpf.argument(index))
    for place, value in enumerate(values):
        yield Instruction(Operation.IF_EQUAL, value, no=f"{name}-{place}")
        yield _fail(error)
        yield Instruction(Operation.AND, 0xFFFFFFFF, label=f"{name}-{place}")


def _only(
    name: str, index: int | None, values: tuple[int, ...], error: int
) -> Iterator[Instruction]:
    """Refuse all other values of an argument, or of the accumulator where that is None."""
    if index is not None:
        yield Instruction(Operation.LOAD, bpf.argument(index))
    for value in values:
        yield Instruction(Operation.IF_EQUAL, value, yes=f"{name}-allowed")
    yield _fail(error)
    # Whatever it is, the accumulator stays as it is.
    yield Instruction(Operation.AND, 0xFFFFFFFF, label=f"{name}-allowed")


def _fail(error: int) -> Instruction:
    return Instruction(Operation.RETURN, bpf.refuse(error))
