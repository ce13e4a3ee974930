"""The filter of system calls, run by an interpreter of BPF that knows nothing of it."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest

from bascule.errors import BasculeError
from bascule.launch.sandbox.bpf import Instruction, Operation, assemble
from bascule.launch.sandbox.seccomp import (
    Sockets,
    filter_for,
    filter_without_namespaces,
)
from bascule.launch.sandbox.system_calls import NEWEST, Machine, calls_of

MACHINES: list[Machine] = ["x86_64", "aarch64"]
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {"socket": 41, "clone": 56, "ioctl": 16, "openat": 257, "read": 0},
    "aarch64": {"socket": 198, "clone": 220, "ioctl": 29, "openat": 56, "read": 63},
}
ALLOW = "allow"
KILL = "kill"


def run(program: bytes, architecture: int, number: int, *arguments: int) -> Any:
    """Run a filter over one system call (`linux/bpf_common.h`, `linux/seccomp.h`)."""
    data = struct.pack(
        "<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments))
    )
    at = accumulator = 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            at += yes if accumulator == value else no
        elif code == 0x25:
            at += yes if accumulator > value else no
        elif code == 0x35:
            at += yes if accumulator >= value else no
        elif code == 0x45:
            at += yes if accumulator & value else no
        elif code == 0x06:
            return verdict(value)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def verdict(value: int) -> Any:
    if value == 0x7FFF0000:
        return ALLOW
    if value == 0x80000000:
        return KILL
    assert value >> 16 == 5
    return errno.errorcode[value & 0xFFFF]


def called(
    machine: Machine, name: str, *arguments: int, allowed: Sockets = Sockets.ALL
) -> Any:
    program = filter_for(machine, allowed)
    return run(program, ARCHITECTURES[machine], NUMBERS[machine][name], *arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_an_ordinary_call_is_allowed(machine: Machine) -> None:
    assert called(machine, "read") == ALLOW
    assert called(machine, "clone", 0x11) == ALLOW
    assert called(machine, "openat", 0, 0, 0o100, 0o644) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_of_the_list_is_refused(machine: Machine) -> None:
    program = filter_for(machine, Sockets.ALL)
    refused = calls_of(machine).refused
    assert len(refused) > 50
    assert {run(program, ARCHITECTURES[machine], it) for it in refused} == {"EPERM"}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("architecture", [0x40000003, 0x40000028, 0xC00000F3, 0])
def test_another_architecture_kills(machine: Machine, architecture: int) -> None:
    """i386, arm, riscv64, none: their numbers mean other calls."""
    assert run(filter_for(machine, Sockets.ALL), architecture, 0) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_newer_than_the_list_does_not_exist(machine: Machine) -> None:
    program = filter_for(machine, Sockets.ALL)
    assert run(program, ARCHITECTURES[machine], NEWEST) == ALLOW
    assert run(program, ARCHITECTURES[machine], NEWEST + 1) == "ENOSYS"
    assert run(program, ARCHITECTURES[machine], 435) == "ENOSYS"  # clone3
    assert run(program, ARCHITECTURES[machine], 437) == "ENOSYS"  # openat2


def test_calls_of_x32_kill() -> None:
    assert run(filter_for("x86_64", Sockets.ALL), 0xC000003E, 0x40000000 | 39) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "flag",
    [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000],
)
def test_no_namespace_is_made_by_clone(machine: Machine, flag: int) -> None:
    assert called(machine, "clone", flag | 0x11) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((2, 1, 0), ALLOW),
        ((10, 2 | 0o2000000, 17), ALLOW),
        ((2 | 1 << 40, 1, 0), ALLOW),  # the kernel takes the low half alone
        ((1, 1, 0), ALLOW),
        ((2, 3, 1), "EPERM"),  # raw
        ((2, 10, 768), "EPERM"),  # packet, as it once was
        ((2, 5, 0), "EPERM"),
        ((2, 1, 132), "EPROTONOSUPPORT"),  # SCTP
        ((2, 1, 262), ALLOW),  # MPTCP
        *(((family, 1, 0), "EAFNOSUPPORT") for family in (0, 16, 17, 21, 38, 40, 44)),
    ],
)
def test_sockets_are_of_the_internet_or_of_unix(
    machine: Machine, arguments: tuple[int, ...], expected: str
) -> None:
    assert called(machine, "socket", *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_fewer_sockets_can_be_allowed(machine: Machine) -> None:
    internet = Sockets.INTERNET
    assert called(machine, "socket", 1, 1, 0, allowed=internet) == "EAFNOSUPPORT"
    assert called(machine, "socket", 2, 1, 0, allowed=internet) == ALLOW
    assert called(machine, "socket", 2, 1, 0, allowed=Sockets.NONE) == "EACCES"


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_typed_into_a_terminal(machine: Machine) -> None:
    assert called(machine, "ioctl", 0, 0x5412) == "EPERM"
    assert called(machine, "ioctl", 0, 0x541C) == "EPERM"
    assert called(machine, "ioctl", 0, 1 << 32 | 0x5412) == "EPERM"
    assert called(machine, "ioctl", 0, 0x5401) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_no_file_with_a_borrowed_identity_is_made(machine: Machine) -> None:
    assert called(machine, "openat", 0, 0, 0o100, 0o4755) == "EPERM"
    assert called(machine, "openat", 0, 0, 0o100, 0o2755) == "EPERM"
    # Without O_CREAT there is no mode, and the register holds what was in it.
    assert called(machine, "openat", 0, 0, 0, 0o4755) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("signals", [True, False])
def test_without_namespaces_more_is_refused(machine: Machine, signals: bool) -> None:
    program = filter_without_namespaces(machine, signals=signals)
    kill = 62 if machine == "x86_64" else 129
    chown = 260 if machine == "x86_64" else 54
    socket = NUMBERS[machine]["socket"]
    architecture = ARCHITECTURES[machine]
    assert run(program, architecture, kill) == ("EPERM" if signals else ALLOW)
    assert run(program, architecture, chown) == "EPERM"
    assert {run(program, architecture, socket, it, 1) for it in (1, 2, 10)} == {"EACCES"}


def test_the_assembler_refuses_what_bpf_cannot_do() -> None:
    with pytest.raises(BasculeError, match="cannot jump to `nowhere`"):
        assemble([Instruction(Operation.JUMP, yes="nowhere")])
    back = [
        Instruction(Operation.LOAD, label="start"),
        Instruction(Operation.IF_EQUAL, yes="start"),
    ]
    with pytest.raises(BasculeError, match="cannot jump to `start`"):
        assemble(back)
    far = [Instruction(Operation.IF_EQUAL, yes="end")]
    far += [Instruction(Operation.RETURN)] * 300
    with pytest.raises(BasculeError, match="too far"):
        assemble([*far, Instruction(Operation.RETURN, label="end")])
