"""Unpacking packages of npm from the lock, without running anything that they bring.

`npm ci` checks the SHA-512 of each package when it takes it, from the network or from its
cache. Before that each line of the lock is checked here: a package comes from a registry,
with a hash, and is one of those that were reviewed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bascule.lock.model import LockError, Package
from bascule.lock.resolver import complaint, run

INSTALL_SECONDS = 900
_MODULES = "node_modules"
_PLACE = re.compile(r"node_modules/(@[^/@]+/)?[^/@]+(/node_modules/(@[^/@]+/)?[^/@]+)*")
_NPM_OPTIONS = (
    *("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--no-bin-links", "--install-strategy=hoisted", "--omit=dev", "--include=optional"),
    *("--location=project", "--no-global", "--loglevel=error", "--no-progress"),
)


def unpack_packages(
    packages: Sequence[Package],
    native_lock: str,
    folder: Path,
    *,
    environment: Mapping[str, str],
    artifacts: Path | None,
) -> None:
    """Install packages below `node_modules` of an empty folder.

    `artifacts` is a folder of tarballs to take them from, instead of the operator's
    registries. Raises `LockError`.
    """
    lock = _read(native_lock)
    places = check_places(lock, packages)
    if artifacts is not None:
        _take_from(artifacts, places)
    npm = shutil.which("npm", path=environment.get("PATH"))
    if npm is None:
        raise LockError("`npm` is not on PATH, and packages of npm need it to be installed")
    _write(folder / "package.json", _manifest(lock))
    _write(folder / "package-lock.json", lock)
    command = [npm, "ci", *_NPM_OPTIONS]
    if artifacts is not None:
        command.append("--offline")
    said = run(command, folder=folder, environment=environment, seconds=INSTALL_SECONDS)
    if not said.succeeded:
        raise LockError(
            f"the locked packages could not be installed: {complaint(said.messages)}"
        )
    for left in ("package.json", "package-lock.json", f"{_MODULES}/.package-lock.json"):
        (folder / left).unlink(missing_ok=True)
    _check_installed(folder, places, packages)


def _read(native_lock: str) -> dict[str, Any]:
    try:
        lock = json.loads(native_lock)
    except (ValueError, RecursionError) as exc:
        raise LockError("`package-lock.json` is not valid JSON: lock it anew") from exc
    if not isinstance(lock, dict) or lock.get("lockfileVersion") != 3:
        raise LockError("`package-lock.json` is not of version 3: lock it anew")
    return lock


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _manifest(lock: dict[str, Any]) -> dict[str, Any]:
    """Write the `package.json` to which the lock belongs."""
    root = lock["packages"].get("", {})
    kept = ("name", "version", "dependencies", "optionalDependencies", "overrides")
    return {"private": True, **{key: root[key] for key in kept if key in root}}


def check_places(
    lock: dict[str, Any], packages: Sequence[Package]
) -> dict[str, dict[str, Any]]:
    """Give the lock's lines by place in the tree, each of them checked.

    Raises `LockError` for one that leaves `node_modules`, links elsewhere, has no SHA-512,
    or another than the package that was reviewed.
    """
    lines = lock.get("packages")
    if not isinstance(lines, dict):
        raise LockError("`package-lock.json` has no packages: lock it anew")
    reviewed = {path: package for package in packages for path in package.paths}
    places: dict[str, dict[str, Any]] = {}
    for place, line in lines.items():
        if place == "":
            continue
        if _PLACE.fullmatch(place) is None or {".", ".."} & set(place.split("/")):
            raise LockError(f"`package-lock.json`: `{place}` is not below `node_modules`")
        if not isinstance(line, dict) or line.get("link"):
            raise LockError(f"`{place}` is a link and has no hash of its own")
        resolved = str(line.get("resolved", ""))
        if resolved and not resolved.startswith(("https://", "http://")):
            raise LockError(f"`{place}` does not come from a registry")
        places[place] = line
    for place, line in places.items():
        _check_hash(place, _archive_of(places, place, line), reviewed.pop(place, None))
    if reviewed:
        missing = ", ".join(sorted(reviewed)[:3])
        raise LockError(f"`package-lock.json` lacks what is in `mcp.lock.json`: {missing}")
    return places


def _archive_of(
    places: dict[str, dict[str, Any]], place: str, line: dict[str, Any]
) -> dict[str, Any]:
    """Give the line of the archive in which a package comes: its own, or its bundler's."""
    holder = place
    while line.get("inBundle"):
        holder = holder.rpartition("/node_modules/")[0]
        if holder not in places:
            raise LockError(f"`{place}` is bundled in nothing that has a hash")
        line = places[holder]
    return line


def _check_hash(place: str, line: dict[str, Any], package: Package | None) -> None:
    """Hold the hash in the native lock against what was reviewed for this platform."""
    hashes = sha512s(line.get("integrity", ""))
    if not hashes:
        raise LockError(f"`{place}` has no SHA-512 in `package-lock.json`: lock it anew")
    if package is None:
        return  # for other platforms: what is installed all the same is refused afterwards
    # npm takes what has any of the strongest hashes, and reads more forms than we do.
    strong = [it for it in line["integrity"].split() if not it.startswith("sha1-")]
    if hashes != [package.artifact.sha512] or len(strong) > 1:
        raise LockError(
            f"`{place}`: `package-lock.json` and `mcp.lock.json` have different hashes"
        )


def sha512s(integrity: str) -> list[str]:
    """Give the SHA-512 of a line of subresource integrity, in hex; none for any other."""
    found = []
    for part in str(integrity).split():
        kind, _, value = part.partition("-")
        if kind == "sha512":
            try:
                found.append(base64.b64decode(value, validate=True).hex())
            except binascii.Error:
                continue
    return found


def _take_from(artifacts: Path, places: dict[str, dict[str, Any]]) -> None:
    """Let each line point at the tarball in a folder that has its hash."""
    files = {_sha512(path): path for path in sorted(artifacts.glob("*.tgz"))}
    for place, line in places.items():
        if line.get("inBundle"):
            continue
        hashes = sha512s(line.get("integrity", ""))
        found = next((files[it] for it in hashes if it in files), None)
        if found is not None:
            line["resolved"] = f"file:{found.absolute()}"
        elif not line.get("optional"):
            raise LockError(f"`{artifacts}` has no tarball with the hash of `{place}`")


def _sha512(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest()


def _check_installed(
    folder: Path, places: dict[str, dict[str, Any]], packages: Sequence[Package]
) -> None:
    """Raise `LockError` unless just what was reviewed lies there, under its own name."""
    reviewed = {path: package for package in packages for path in package.paths}
    found = set(installed_places(folder))
    if extra := sorted(found - reviewed.keys()):
        raise LockError(f"`{extra[0]}` was installed and is not in `mcp.lock.json`")
    if missing := sorted(reviewed.keys() - found):
        raise LockError(f"`{missing[0]}` is in the lock and was not installed")
    for place in sorted(found):
        manifest = read_manifest(folder / place)
        if manifest.get("version") != places[place].get("version"):
            raise LockError(f"`{place}` is of another version than in the lock")


def installed_places(folder: Path) -> list[str]:
    """Give the places of all packages in a tree, as `package-lock.json` names them."""
    found: list[str] = []
    _collect(folder, "", found)
    return sorted(found)


def _collect(folder: Path, prefix: str, found: list[str]) -> None:
    modules = folder / _MODULES
    if not modules.is_dir():
        return
    for child in sorted(modules.iterdir()):
        if child.name.startswith(".") or not child.is_dir():
            continue  # no name of a package
        scoped = sorted(child.iterdir()) if child.name.startswith("@") else [child]
        for package in scoped:
            place = f"{prefix}{_MODULES}/{package.relative_to(modules).as_posix()}"
            found.append(place)
            _collect(package, f"{place}/", found)


def read_manifest(package: Path) -> dict[str, Any]:
    """Read an installed package's `package.json`. Raises `LockError`."""
    try:
        manifest = json.loads((package / "package.json").read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as exc:
        raise LockError(f"`{package.name}` has no `package.json` that can be read") from exc
    if not isinstance(manifest, dict):
        raise LockError(f"`{package.name}` has a `package.json` that is no object")
    return manifest
