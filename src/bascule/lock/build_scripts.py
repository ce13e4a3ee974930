"""Running the install scripts of a package that somebody allowed by name and version.

Each script runs enclosed by bubblewrap, without any network, with an empty environment. The
tree lies at `/build` whatever folder it is, so that paths which a script writes down are
the same everywhere. Only the package's own folder can be written. What comes out is part of
the tree, and so of what is approved. Without bubblewrap nothing is run.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from bascule.launch.sandbox import seccomp
from bascule.launch.sandbox.bubblewrap import (
    NAMESPACES,
    Bubblewrap,
    bubblewrap_program,
    system_options,
)
from bascule.launch.sandbox.descriptors import Descriptors
from bascule.launch.sandbox.seccomp import Sockets
from bascule.lock.install_npm import read_manifest
from bascule.lock.model import LockError, Package
from bascule.lock.package_facts import INSTALL_SCRIPTS, install_scripts
from bascule.lock.purl import name_of, told, version_of
from bascule.lock.resolver import complaint
from bascule.lock.runtime import FoundRuntime
from bascule.lock.tree import measure

SCRIPT_SECONDS = 600
TOLD_BYTES = 4096
"""Of what a script writes last."""
SCRATCH_BYTES = 1 << 30
_LIMITED = (
    "ulimit -c 0; ulimit -n 1024; ulimit -d 4194304; ulimit -f 4194304; "
    "ulimit -p 512 2>/dev/null || ulimit -u 512; "
    'exec /bin/sh -c "$1"'
)
"""Open files, 4 GiB of memory for each process, 2 GiB for each file, processes."""
_BUILD = "/build"
_GENERATED = "node-gyp rebuild"
"""What npm runs for a package that has a `binding.gyp` and no script for it."""


def run_install_scripts(package: Package, folder: Path, runtime: FoundRuntime) -> None:
    """Run a package's scripts in the order of npm, wherever it lies in a tree.

    Raises `LockError` when one fails, and when there is no sandbox.
    """
    problem = Bubblewrap().unavailable()
    if problem is not None:
        raise LockError(f"install scripts are run in a sandbox alone: {problem}")
    for place in package.paths:
        refuse_links(folder, place)
        manifest = read_manifest(folder / place)
        scripts = manifest.get("scripts") or {}
        wanted = install_scripts(folder / place, manifest)
        for name in INSTALL_SCRIPTS:
            if name in wanted:
                script = str(scripts.get(name) or _GENERATED)
                _run(package, name, script, folder, place, runtime)
                refuse_links(folder, place)
                measure(folder)  # refuses what would lead a reader out of the tree


def refuse_links(folder: Path, place: str) -> None:
    """Raise `LockError` when a package's folder is a link, or lies behind one.

    What is mounted to be written must not be what an earlier script chose.
    """
    if (folder / place).resolve() != folder.resolve() / place:
        raise LockError(f"`{place}` was replaced by a link while scripts ran")


def _run(
    package: Package,
    name: str,
    script: str,
    folder: Path,
    place: str,
    runtime: FoundRuntime,
) -> None:
    machine, program = seccomp.machine(), bubblewrap_program()
    if machine is None or program is None:
        raise LockError("install scripts are run in a sandbox alone")
    inherited = Descriptors()
    try:
        number = inherited.holding(seccomp.filter_for(machine, Sockets.ALL))
        options = [
            *_options(package, name, folder, place, runtime),
            *("--seccomp", str(number), "--", "/bin/sh", "-c", _LIMITED),
            *("sh", script),
        ]
        with subprocess.Popen(  # noqa: S603 - what runs was allowed, and is enclosed
            [program, *options],
            pass_fds=inherited.numbers,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            late = threading.Timer(SCRIPT_SECONDS, process.kill)
            late.start()
            try:
                said = _last_words(process)
            finally:
                late.cancel()
                process.kill()
    except OSError as exc:
        raise LockError(f"`{told(package.purl)}`: its script `{name}`: {exc}") from exc
    finally:
        inherited.close()
    if process.returncode:
        text = complaint(said.decode("utf-8", "replace"))
        raise LockError(f"`{told(package.purl)}`: its script `{name}` failed: {text}")


def _last_words(process: subprocess.Popen[bytes]) -> bytes:
    """Read all that a script writes, keep the end, and wait for it."""
    assert process.stdout is not None  # noqa: S101 - asked for
    said = b""
    while part := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
        said = (said + part)[-TOLD_BYTES:]
    process.wait()
    return said


def _options(
    package: Package, name: str, folder: Path, place: str, runtime: FoundRuntime
) -> Iterator[str]:
    yield from NAMESPACES
    environment = {
        "PATH": f"{runtime.path.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - inside of the sandbox, where it is its own
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "0",
        "npm_config_offline": "true",
        "npm_lifecycle_event": name,
        "npm_package_name": name_of(package.purl),
        "npm_package_version": version_of(package.purl),
    }
    for variable, value in environment.items():
        yield from ("--setenv", variable, value)
    yield from system_options()
    yield from ("--proc", "/proc", "--dev", "/dev", "--size", str(SCRATCH_BYTES))
    yield from ("--tmpfs", "/tmp")  # noqa: S108
    for read in runtime.reads:
        if not read.is_relative_to("/usr"):
            yield from ("--ro-bind", str(read), str(read))
    own = f"{_BUILD}/{place}"
    yield from ("--ro-bind", str(folder), _BUILD, "--bind", f"{folder}/{place}", own)
    # Run by root, the script would be root to what lies in /proc/sys.
    for path in ("/proc", "/dev", "/"):
        yield from ("--remount-ro", path)
    yield from ("--chdir", own)
