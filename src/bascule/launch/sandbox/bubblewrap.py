"""Servers enclosed by bubblewrap: namespaces of their own, and next to nothing in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from bascule.launch.command import DEFAULT_PATH, LaunchError
from bascule.launch.sandbox import seccomp
from bascule.launch.sandbox.backend import Report
from bascule.launch.sandbox.descriptors import Descriptors
from bascule.launch.sandbox.egress import Egress, hosts_file, places_of
from bascule.launch.sandbox.enclosed import Enclosed
from bascule.launch.sandbox.seccomp import Sockets
from bascule.launch.sandbox.spec import (
    HOME,
    SCRATCH_BYTES,
    TEMPORARY,
    Grants,
    SandboxSpec,
    grants_of,
)
from bascule.launch.sandbox.traps import Traps, set_traps
from bascule.launch.start import Start
from bascule.net.resolver import Resolver, system_resolver

_ID = "1000"
"""User and group inside, whoever runs it: what a server sees does not depend on that."""

NAMESPACES = (
    "--unshare-user",
    "--unshare-all",
    "--disable-userns",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--uid",
    _ID,
    "--gid",
    _ID,
    "--hostname",
    "sandbox",
    "--clearenv",
)

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Below `/`: links into `/usr` on most systems, folders on a few."""

_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    # Not all of /etc/ssl: private keys of the machine lie there.
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
)

_TRY_SECONDS = 60.0
INSTALL = "install bubblewrap (`apt-get install bubblewrap`, `dnf install bubblewrap`)"
USER_NAMESPACES = (
    "unprivileged user namespaces are switched off here: on Ubuntu give `bwrap` an "
    "AppArmor profile with `userns,`, elsewhere set `kernel.unprivileged_userns_clone=1` "
    "and `user.max_user_namespaces` above 0; in a container allow them in its seccomp "
    "profile"
)


class Bubblewrap:
    """The backend for Linux."""

    name: Literal["bubblewrap"] = "bubblewrap"

    def __init__(self, resolver: Resolver = system_resolver) -> None:
        """`resolver` finds the hosts that servers may reach."""
        self._resolver = resolver

    def unavailable(self) -> str | None:
        """Give why it cannot be used here; tried until it once works."""
        try:
            _require()
        except LaunchError as exc:
            return str(exc)
        return None

    def prepare(self, spec: SandboxSpec, report: Report) -> Start:
        """Make one start ready. Raises `LaunchError`."""
        program = bubblewrap_program()
        machine = seccomp.machine()
        if program is None or machine is None:
            raise LaunchError(self.unavailable() or "bubblewrap cannot be used")
        grants = grants_of(spec)
        places = places_of(spec.may_reach, spec.private)
        # A socket in a folder of the host would lead out.
        sockets = Sockets.INTERNET if spec.read or spec.write else Sockets.ALL
        inherited = Descriptors()
        traps = set_traps(spec.scratch)
        try:
            made_filter = seccomp.filter_for(machine, sockets)
            options = [
                *_options(spec, grants, hosts_file(places), inherited, traps),
                *("--seccomp", str(inherited.holding(made_filter))),
            ]
            return Enclosed.ready(
                program,
                options,
                spec=spec,
                places=places,
                egress=Egress(report, private=spec.private, resolver=self._resolver),
                inherited=inherited,
                traps=traps,
            )
        except BaseException:
            inherited.close()
            traps.close()
            raise


def _options(
    spec: SandboxSpec, grants: Grants, hosts: str, inherited: Descriptors, traps: Traps
) -> Iterator[str]:
    yield from NAMESPACES
    for name, value in spec.whole_environment().items():
        yield from ("--setenv", name, value)
    yield from system_options()
    for replaced, trap in traps.places.items():
        yield from ("--ro-bind", str(trap), str(replaced))
    yield from _files(hosts, inherited)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for folder in ("/dev/shm", TEMPORARY, HOME):  # noqa: S108 - inside of the sandbox
        yield from ("--size", str(SCRATCH_BYTES), "--tmpfs", folder)
    for path in sorted(spec.empty):
        yield from ("--size", str(SCRATCH_BYTES), "--tmpfs", str(path))
    yield from _grants(grants)
    # To the kernel the files of `/proc/sys` belong to the machine's root, whom a server is
    # inside of any namespace when Bascule is: it could name a program to run outside.
    for folder in ("/proc", "/dev", "/"):
        yield from ("--remount-ro", folder)
    yield from ("--chdir", HOME)


def system_options() -> Iterator[str]:
    """Give the options for what the system brings, read-only."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _LINKS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for file in _SYSTEM_FILES:
        yield from ("--ro-bind-try", file, file)


def _files(hosts: str, inherited: Descriptors) -> Iterator[str]:
    written = {
        "/etc/hosts": hosts,
        "/etc/resolv.conf": "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/passwd": f"connector:x:{_ID}:{_ID}::{HOME}:/usr/sbin/nologin\n",
        "/etc/group": f"connector:x:{_ID}:\n",
    }
    for path, text in written.items():
        descriptor = inherited.holding(text.encode())
        yield from ("--perms", "0444", "--file", str(descriptor), path)


def _grants(grants: Grants) -> Iterator[str]:
    readable = [("--ro-bind", real, inside) for real, inside in grants.read]
    writable = [("--bind", real, inside) for real, inside in grants.write]
    # What lies in another folder is mounted after it, else it would be hidden.
    for option, real, inside in sorted(
        [*readable, *writable], key=lambda it: len(it[2].parts)
    ):
        yield from (option, str(real), str(inside))


def bubblewrap_program() -> str | None:
    """Give the path of `bwrap`; None without."""
    # Never from the operator's PATH alone: the server's own folders might be on it.
    return shutil.which("bwrap", path=DEFAULT_PATH)


@lru_cache(1)
def _require() -> None:
    """Raise `LaunchError` when it cannot be used; that it can be is remembered."""
    program = bubblewrap_program()
    if program is None:
        raise LaunchError(INSTALL)
    if seccomp.machine() is None:
        raise LaunchError("the system calls of this machine are not known to Bascule")
    options = [*NAMESPACES, *system_options(), "--proc", "/proc", "--dev", "/dev"]
    options += [
        "--size",
        "4096",
        "--tmpfs",
        TEMPORARY,
        "--remount-ro",
        "/",
        "--",
        "/bin/true",
    ]
    _try(program, options)


def _try(program: str, options: Iterable[str]) -> None:
    try:
        tried = subprocess.run(  # noqa: S603 - an argument vector, no shell
            [program, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": DEFAULT_PATH},
            cwd="/",
            timeout=_TRY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise LaunchError(f"bubblewrap does not run: {exc}") from exc
    if tried.returncode == 0:
        return
    said = os.fsdecode(tried.stderr).strip()[-300:]
    if "Unknown option" in said:
        raise LaunchError(f"bubblewrap is too old, 0.8 is needed ({said})")
    raise LaunchError(f"{USER_NAMESPACES} ({said})")
