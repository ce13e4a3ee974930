"""Assembles classic BPF, as seccomp takes it (`linux/filter.h`, `linux/seccomp.h`).

A filter is a list of `Instruction`; jumps are to labels, and only forward, which is all
that BPF can do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from bascule.errors import BasculeError


class Operation(IntEnum):
    """The few instructions that a filter of system calls needs."""

    LOAD = 0x20
    """The accumulator becomes the 32-bit word of `seccomp_data` at this offset."""
    AND = 0x54
    JUMP = 0x05
    IF_EQUAL = 0x15
    IF_GREATER = 0x25
    IF_GREATER_OR_EQUAL = 0x35
    IF_ANY_BIT = 0x45
    RETURN = 0x06


_CONDITIONAL = frozenset(
    {
        Operation.IF_EQUAL,
        Operation.IF_GREATER,
        Operation.IF_GREATER_OR_EQUAL,
        Operation.IF_ANY_BIT,
    }
)

ALLOW = 0x7FFF0000
KILL = 0x80000000
"""The whole process, with SIGSYS."""
_ERRNO = 0x00050000

NUMBER = 0
"""Offset of the system call's number in `seccomp_data`."""
ARCHITECTURE = 4


def argument(index: int) -> int:
    """Give the offset of the low half of an argument, on little-endian machines."""
    return 16 + 8 * index


def refuse(errno: int) -> int:
    """Give the return value that makes a system call fail with this error."""
    return _ERRNO | errno


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; of a condition, `yes` or `no` is empty for the next instruction."""

    operation: Operation
    value: int = 0
    yes: str = ""
    no: str = ""
    label: str = ""
    """Name of this place."""


def assemble(program: Iterable[Instruction]) -> bytes:
    """Write a program as the kernel reads it. Raises `BasculeError` for a bad jump."""
    instructions = list(program)
    labels = {it.label: place for place, it in enumerate(instructions) if it.label}
    return b"".join(_encode(place, it, labels) for place, it in enumerate(instructions))


def _encode(place: int, it: Instruction, labels: dict[str, int]) -> bytes:
    if it.operation == Operation.JUMP:
        distance = _distance(place, it.yes, labels)
        return struct.pack("=HBBI", it.operation, 0, 0, distance)
    yes = no = 0
    if it.operation in _CONDITIONAL:
        yes, no = _distance(place, it.yes, labels), _distance(place, it.no, labels)
        if max(yes, no) > 255:
            raise BasculeError("a condition of a filter jumps too far")
    return struct.pack("=HBBI", it.operation, yes, no, it.value)


def _distance(place: int, label: str, labels: dict[str, int]) -> int:
    if not label:
        return 0
    distance = labels.get(label, 0) - place - 1
    if distance < 0:
        raise BasculeError(f"a filter cannot jump to `{label}`")
    return distance
