"""Gives up the rights to files, sockets and others' processes, and becomes a server.

    python -I -S restrict.py DESCRIPTOR

DESCRIPTOR holds JSON; `landlock.py` writes it. Exits 126 without running anything when one
of the restrictions cannot be made. A program of its own, since the supervisor has threads:
what is done here may not be done between its fork and exec. See `landlock(7)` and
`seccomp(2)`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import stat
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

CANNOT_EXECUTE = 126
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_OF_ABI_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def main() -> NoReturn:
    """Restrict this process, and execute the program."""
    descriptor = int(sys.argv[1])
    try:
        with os.fdopen(descriptor, "rb") as held:
            wanted = json.load(held)
        for entrance in wanted["groups"]:
            with open(entrance, "w") as file:  # noqa: PTH123 - few imports
                file.write(str(os.getpid()))
        _limit(wanted["limits"])
        os.chdir(wanted["folder"])
        ruleset = _ruleset(wanted["abi"])
        _allow(ruleset, wanted["read"], _READ)
        _allow(ruleset, wanted["devices"], _READ_FILE | _WRITE_FILE)
        handled = _files(wanted["abi"]) & ~(_MAKE_CHAR | _MAKE_BLOCK)
        _allow(ruleset, wanted["write"], handled & ~_EXECUTE)
        _allow(ruleset, wanted["own"], handled)
        _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _syscall(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
        _filter(bytes.fromhex(wanted["filter"]))
        os.execve(wanted["program"], wanted["argv"], wanted["environment"])  # noqa: S606 - no shell
    except (OSError, ValueError, KeyError) as exc:
        with contextlib.suppress(OSError):
            os.write(2, f"cannot be enclosed: {exc}\n".encode())
    finally:
        os._exit(CANNOT_EXECUTE)


def _limit(limits: Iterable[tuple[int, int]]) -> None:
    for number, value in limits:
        if number == resource.RLIMIT_NPROC:
            # Counted for all of the user, here where there is no namespace.
            value += _threads_of_user()
        _, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(number, (value, value))


def _threads_of_user() -> int:
    own, count = os.getuid(), 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - few imports
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == own:  # noqa: PTH116
                    count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
    return count


def _files(abi: int) -> int:
    later = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
    return _ALL_OF_ABI_1 | sum(right for since, right in later if abi >= since)


def _ruleset(abi: int) -> int:
    """Make a ruleset that handles, and so refuses, all that this kernel can refuse."""
    network = _BIND_TCP | _CONNECT_TCP if abi >= 4 else 0
    scoped = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if abi >= 6 else 0
    attributes = (ctypes.c_uint64 * 3)(_files(abi), network, scoped)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    return _syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _allow(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rule = _PathBeneath(rights if folder else rights & _OF_FILES, descriptor)
            _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(descriptor)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _filter(code: bytes) -> None:
    program = _Program(len(code) // 8, code)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _syscall(number: int, *arguments: Any) -> int:
    given = [ctypes.c_long(it) if isinstance(it, int) else it for it in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *given))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main()
