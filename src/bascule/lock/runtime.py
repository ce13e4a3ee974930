"""The interpreter that runs a connector: found, asked what it is, and hashed."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bascule.audit.durable import write_durably
from bascule.lock.interpreter_files import InterpreterFiles
from bascule.lock.model import LockError, Platform, Runtime

Kind = Literal["python", "node", "none"]
PROBE_SECONDS = 30
_SYSTEM_PREFIXES = (Path("/"), Path("/usr"), Path("/usr/local"))
_CPYTHON_NAMES = ("python3", *(f"python3.{minor}" for minor in range(20, 10, -1)))
_NODE_NAMES = ("node", "nodejs")

_ASK_PYTHON = """
import json, sys, sysconfig
try:
    with open("/proc/self/maps") as file:
        mapped = sorted({it.split()[-1] for it in file if "/libpython" in it})
except OSError:
    mapped = []
print(json.dumps({
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "prefix": sys.base_prefix,
    "library": sysconfig.get_path("stdlib"),
    "shared": mapped,
    "version": ".".join(map(str, sys.version_info[:3])),
    "implementation": sys.implementation.name,
}))
"""
_ASK_NODE = """
const path = require("path");
let mapped = [];
try {
  const maps = require("fs").readFileSync("/proc/self/maps", "utf8").split("\\n");
  mapped = maps.map(it => it.split(/\\s+/)[5] || "").filter(it => it.includes("/libnode"));
} catch {}
console.log(JSON.stringify({
  executable: process.execPath,
  prefix: path.dirname(path.dirname(process.execPath)),
  library: null,
  shared: [...new Set(mapped)].sort(),
  version: process.versions.node,
  implementation: "node",
}));
"""
_ASK: Mapping[Kind, tuple[str, ...]] = {
    "python": ("-I", "-S", "-c", _ASK_PYTHON),
    "node": ("-e", _ASK_NODE),
}
_IMPLEMENTATIONS = {"python": "cpython", "node": "node"}


class _Answer(msgspec.Struct, frozen=True):
    executable: str
    prefix: str
    library: str | None
    shared: tuple[str, ...]
    version: str
    implementation: str

    @property
    def files(self) -> InterpreterFiles:
        library = None if self.library is None else Path(self.library)
        shared = tuple(map(Path, self.shared))
        return InterpreterFiles(Path(self.executable), library, shared)


class _Known(msgspec.Struct, frozen=True):
    """One line of the cache: what was found, as long as the files stay as they were."""

    signature: str
    answer: _Answer
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class FoundRuntime:
    """An interpreter of this machine."""

    path: Path
    """Its executable, no link; `/` where nothing interprets."""
    prefix: Path
    """Below which its own files lie."""
    runtime: Runtime
    reads: tuple[Path, ...] = ()
    """Files and folders that it must be able to read to run at all."""


NOTHING = FoundRuntime(Path("/"), Path("/"), Runtime("none"))
"""What "runs" a program that is machine code itself."""


def platform_name() -> Platform:
    """Name this platform, as in `linux-x86_64-glibc`."""
    libc = platform.libc_ver()[0] or "unknown"
    system = platform.system().lower()
    machine = platform.machine().lower()
    return f"{system}-{machine}-{libc}" if system == "linux" else f"{system}-{machine}"


def find_runtime(
    kind: Kind,
    environment: Mapping[str, str],
    *,
    like: Runtime | None = None,
    cache: Path | None = None,
) -> FoundRuntime:
    """Find an interpreter: for Python the one below any virtual environment.

    The first choice for Python is the one that runs Bascule, then what stands on PATH. With
    `like` the one that is the same, byte for byte; where there is none, the one of the same
    version, or the first choice: that it is another shows in its `runtime`. `cache` is a
    file that remembers digests for as long as nothing touches the files. Raises `LockError`
    when no interpreter runs.
    """
    if kind == "none":
        return NOTHING
    known = _read_cache(cache)
    found: list[FoundRuntime] = []
    for candidate in _candidates(kind, environment):
        one = _look_at(kind, candidate, environment, known)
        if one is None:
            continue
        found.append(one)
        if like is None or one.runtime == like:
            break
    _write_cache(cache, known)
    if not found:
        name = "Python 3.11 or newer" if kind == "python" else "Node.js"
        raise LockError(f"no {name} was found that runs: install it, or put it on PATH")
    if like is None or found[-1].runtime == like:
        return found[-1]
    return next((it for it in found if it.runtime.version == like.version), found[0])


def _candidates(kind: Kind, environment: Mapping[str, str]) -> Iterator[str]:
    """Give executables to look at, each once."""
    names: tuple[str, ...] = _NODE_NAMES
    seen: set[str] = set()
    if kind == "python":
        names = _CPYTHON_NAMES
        own = getattr(sys, "_base_executable", None) or sys.executable
        if own:
            seen.add(os.path.realpath(own))
            yield str(Path(own).resolve())
    for name in names:
        found = shutil.which(name, path=environment.get("PATH", os.defpath))
        if found is not None and (real := os.path.realpath(found)) not in seen:
            seen.add(real)
            yield found


def _look_at(
    kind: Kind,
    candidate: str,
    environment: Mapping[str, str],
    known: dict[str, _Known],
) -> FoundRuntime | None:
    """Ask an interpreter what it is, or know it already; None for one that does not run."""
    before = known.get(candidate)
    try:
        if before is not None and before.answer.files.signature() == before.signature:
            return _found(before)
        answer = _ask(kind, candidate, environment)
        if answer is None:
            return None
        files = answer.files
        signature = files.signature()
        runtime = Runtime(
            kind, answer.version, files.executable_digest(), files.library_digest()
        )
        if files.signature() != signature:
            raise LockError(f"`{answer.executable}` changed while it was read")
    except OSError:
        return None
    fresh = _Known(signature, answer, runtime)
    if os.path.realpath(candidate) == answer.executable:  # no shim that may change its mind
        known[candidate] = fresh
    return _found(fresh)


def _found(known: _Known) -> FoundRuntime:
    answer = known.answer
    path, prefix = Path(answer.executable), Path(answer.prefix)
    own = () if prefix in _SYSTEM_PREFIXES or known.runtime.kind == "node" else (prefix,)
    library = () if answer.library is None else (Path(answer.library),)
    reads = (path, *own, *library, *map(Path, answer.shared))
    return FoundRuntime(path, prefix, known.runtime, tuple(dict.fromkeys(reads)))


def _ask(kind: Kind, candidate: str, environment: Mapping[str, str]) -> _Answer | None:
    """Run an interpreter without anything of the environment that could change it."""
    try:
        ran = subprocess.run(  # noqa: S603
            [candidate, *_ASK[kind]],
            env={it: environment[it] for it in ("PATH", "HOME") if it in environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=True,
        )
        answer = msgspec.json.decode(ran.stdout, type=_Answer)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return None
    if answer.implementation != _IMPLEMENTATIONS[kind]:
        return None
    real = str(Path(answer.executable).resolve())
    return msgspec.structs.replace(answer, executable=real)


def _read_cache(path: Path | None) -> dict[str, _Known]:
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError):
        return {}  # nobody needs it


def _write_cache(path: Path | None, known: dict[str, _Known]) -> None:
    """Keep what is known; where that fails, it is found out again the next time."""
    if path is None or not known or known == _read_cache(path):
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, msgspec.json.encode(known))
