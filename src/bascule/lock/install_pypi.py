"""Unpacking wheels from the lock into a folder that is the same wherever it lies.

uv downloads and unpacks, with one hash for each package, into an empty folder. It checks
hashes when it downloads and not what its cache kept unpacked, so it gets a cache in the
store, which nothing else writes. What it unpacked is checked against the wheels' own lists
(RECORD), what it made for this machine is removed, and the modules are compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from uv import find_uv_bin

from bascule.lock import wheel_records
from bascule.lock.model import LockError, Package
from bascule.lock.purl import name_of, told, version_of
from bascule.lock.resolver import complaint, run
from bascule.lock.runtime import FoundRuntime

INSTALL_SECONDS = 900
COMPILE_SECONDS = 600


def requirements(packages: Sequence[Package]) -> str:
    """Write one line for each package, with the hash of the one wheel that is locked.

    Raises `LockError` for a package without.
    """
    lines = []
    for package in packages:
        if not package.artifact.sha256:
            raise LockError(
                f"`{told(package.purl)}` has no SHA-256 in the lock: lock it anew"
            )
        pin = f"{name_of(package.purl)}=={version_of(package.purl)}"
        lines.append(f"{pin} --hash=sha256:{package.artifact.sha256}\n")
    return "".join(sorted(lines))


def unpack_wheels(
    packages: Sequence[Package],
    folder: Path,
    runtime: FoundRuntime,
    *,
    scratch: Path,
    cache: Path,
    environment: Mapping[str, str],
    artifacts: Path | None,
) -> None:
    """Install wheels into an empty folder, all that `packages` names and nothing else.

    `scratch` is an empty folder to work in, `cache` is for uv alone. `artifacts` is a
    folder of wheels to take them from, instead of the operator's registries. Raises
    `BrokenWheelError` when what was unpacked is not what a wheel says, and `LockError`.
    """
    wanted = scratch / "requirements.txt"
    wanted.write_text(requirements(packages))
    # uv takes the nearest one upwards, which must be nobody else's. The operator's own, in
    # the home folder, counts all the same.
    (scratch / "uv.toml").touch()
    command = [
        *(find_uv_bin(), "pip", "install", "--quiet", "--no-progress"),
        *("--python", str(runtime.path), "--no-python-downloads", "--target", str(folder)),
        *("--require-hashes", "--no-deps", "--only-binary", ":all:", "--link-mode", "copy"),
        *("--cache-dir", str(cache), "--no-compile-bytecode"),
        *("--requirements", str(wanted)),
    ]
    if artifacts is not None:
        command += ["--no-index", "--find-links", str(artifacts.absolute()), "--offline"]
    said = run(command, folder=scratch, environment=environment, seconds=INSTALL_SECONDS)
    if not said.succeeded:
        raise LockError(
            f"the locked wheels could not be installed: {complaint(said.messages)}"
        )
    wheel_records.check(folder, packages)
    wheel_records.remove_what_is_of_this_machine(folder, runtime.path)
    compile_modules(folder, runtime, scratch=scratch)


def compile_modules(folder: Path, runtime: FoundRuntime, *, scratch: Path) -> None:
    """Compile all modules; the same sources give the same bytes in every folder.

    The interpreter trusts the result without a look at the source, as the digest of the
    tree covers both. What does not compile (templates, other versions' syntax) stays as it
    is. Raises `LockError` when the compiler cannot be run.
    """
    # One process, a fixed order and a fixed seed: what marshal writes depends on which
    # strings are in use elsewhere.
    command = [
        *(str(runtime.path), "-S", "-s", "-P", "-m", "compileall", "-q", "-q"),
        *("--invalidation-mode", "unchecked-hash", "-s", str(folder), "-j", "1"),
        str(folder),
    ]
    environment = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    run(command, folder=scratch, environment=environment, seconds=COMPILE_SECONDS)
