"""Servers enclosed by Landlock and a system call filter, where bubblewrap cannot be had.

No namespaces: the server sees that other processes and files exist, and cannot open, signal
or trace them. There is no network at all, so this is for servers that may reach nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bascule.launch.command import DEFAULT_PATH, LaunchError
from bascule.launch.sandbox import seccomp
from bascule.launch.sandbox.backend import Report
from bascule.launch.sandbox.control_group import ControlGroup, group_for
from bascule.launch.sandbox.descriptors import Descriptors
from bascule.launch.sandbox.leftovers import left_behind, make_folder
from bascule.launch.sandbox.limits import limits_of
from bascule.launch.sandbox.spec import SCRATCH_BYTES, SandboxSpec, grants_of
from bascule.launch.start import Start

OLDEST_ABI = 3
"""Of Linux 6.2: before it, a file that cannot be opened could still be cut to nothing."""
_SCOPED_ABI = 6
"""Of Linux 6.12: from it on, signals are kept inside; before it, the filter refuses all."""
_LANDLOCK_CREATE_RULESET = 444
_VERSION = 1
_RESTRICT = Path(__file__).with_name("restrict.py")

_READABLE = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts"),
    # A file that is there and cannot be read ends Node.js; private keys lie beside it.
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf"),
    *("/dev/random", "/dev/urandom", "/dev/zero", "/dev/full"),
    *("/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/version"),
    # Of the process itself, which keeps its number when it becomes the server.
    "/proc/self",
)
_WRITABLE = ("/dev/null",)


def abi() -> int:
    """Give the version of Landlock that the kernel speaks; 0 when it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    found = libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, 0, _VERSION)
    return max(int(found), 0)


class Landlock:
    """The backend for a Linux without bubblewrap or user namespaces."""

    name: Literal["landlock"] = "landlock"

    def unavailable(self) -> str | None:
        """Give why it cannot be used here."""
        if sys.platform != "linux" or seccomp.machine() is None:
            return "this machine has no Landlock that Bascule knows"
        if abi() < OLDEST_ABI:
            return "the kernel's Landlock is too old or switched off; Linux 6.2 has it"
        return None

    def prepare(self, spec: SandboxSpec, report: Report) -> Start:
        """Make one start ready. Raises `LaunchError`."""
        machine = seccomp.machine()
        if machine is None:
            raise LaunchError(self.unavailable() or "Landlock cannot be used")
        if spec.may_reach:
            raise LaunchError("Landlock cannot let a server reach single hosts")
        grants = grants_of(spec)
        folders = _Folders.made(spec.scratch)
        made_filter = seccomp.filter_without_namespaces(
            machine, signals=abi() < _SCOPED_ABI
        )
        group = group_for(spec)
        inherited = Descriptors()
        executable = str(spec.interpreter.resolve())
        wanted = {
            "abi": abi(),
            "read": [*_READABLE, *(str(real) for real, _ in grants.read)],
            "write": [str(real) for real, _ in grants.write],
            "own": [str(folders.home), str(folders.temporary)],
            "devices": list(_WRITABLE),
            "filter": made_filter.hex(),
            # A file of its folders lies on a disk here, and may be as large as those are.
            "limits": [*limits_of(spec), (resource.RLIMIT_FSIZE, SCRATCH_BYTES)],
            "groups": group.entrances,
            "environment": spec.whole_environment(
                str(folders.home), str(folders.temporary)
            ),
            "folder": str(folders.home),
            "program": executable,
            "argv": [executable, *spec.argv[1:]],
        }
        descriptor = inherited.holding(json.dumps(wanted).encode())
        return _Restricted(
            program=sys.executable,
            argv=(sys.executable, "-I", "-S", str(_RESTRICT), str(descriptor)),
            environment={"PATH": DEFAULT_PATH, "LANG": "C.UTF-8"},
            folder="/",
            server=executable,
            backend="landlock",
            keeps=tuple(inherited.numbers),
            folders=folders,
            group=group,
            inherited=inherited,
        )


@dataclass(slots=True)
class _Folders:
    """HOME and TMPDIR of one process, removed after it."""

    parent: Path
    home: Path
    temporary: Path

    @classmethod
    def made(cls, scratch: Path | None) -> _Folders:
        if scratch is None:
            parent = make_folder(Path(tempfile.gettempdir()))
        else:
            scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in left_behind(scratch):
                _remove(folder)
            parent = make_folder(scratch)
        home, temporary = parent / "home", parent / "tmp"
        for folder in (home, temporary):
            folder.mkdir(mode=0o700)
        return cls(parent, home, temporary)


@dataclass(slots=True)
class _Restricted(Start):
    """A start under Landlock."""

    folders: _Folders | None = None
    group: ControlGroup = field(default_factory=ControlGroup)
    inherited: Descriptors = field(default_factory=Descriptors)

    def spawned(self) -> None:
        """Let go of what the program has inherited."""
        self.inherited.close()

    def close(self) -> None:
        """Remove what was only for this process."""
        self.inherited.close()
        self.group.remove()
        if self.folders is not None:
            _remove(self.folders.parent)


def _remove(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in _changeable(parent):
            folder.chmod(0o700)
        shutil.rmtree(parent, ignore_errors=True)


def _changeable(parent: Path) -> Iterator[Path]:
    """Give the folders below, outermost first; a server may have made them unwritable."""
    for name, folders, _ in os.walk(parent):
        yield Path(name)
        folders[:] = [it for it in folders if not Path(name, it).is_symlink()]
