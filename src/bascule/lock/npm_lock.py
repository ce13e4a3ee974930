"""npm's lock, version 3: which packages an installation on this platform has."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from bascule.lock.invisible import visible
from bascule.lock.model import Artifact, LockError, Package
from bascule.lock.npm_cache import Packument
from bascule.lock.purl import purl_of
from bascule.lock.requirement import npm_source

_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_MODULES = "node_modules/"
_PATH = re.compile(
    r"(?:(?:^|/)node_modules(?:/@[\w~-][\w.~-]*)?/[\w~-][\w.~-]*)+", re.ASCII
)
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")


class Locked(Struct, rename="camel"):
    """One folder of the tree."""

    version: str = ""
    name: str = ""
    """Where it differs from the folder's: the package that an alias stands for."""
    resolved: str | bool = ""
    """Left out for packages of a registry."""
    integrity: str = ""
    link: bool = False
    in_bundle: bool = False
    """Comes inside the archive of the package above it."""
    optional: bool = False
    has_install_script: bool = False
    deprecated: str | bool = ""
    license: object = None
    os: list[str] | str = []
    cpu: list[str] | str = []
    libc: list[str] | str = []
    dependencies: dict[str, str] = {}
    optional_dependencies: dict[str, str] = {}
    peer_dependencies: dict[str, str] = {}


class _File(Struct, rename="camel"):
    lockfile_version: int
    packages: dict[str, Locked]


@dataclass(frozen=True, slots=True)
class Machine:
    """A platform in npm's words: `process.platform`, `process.arch`, C library."""

    os: str
    cpu: str
    libc: str
    """`glibc`, `musl`, or empty where there is but one."""

    def runs(self, locked: Locked) -> bool:
        """Tell whether a package declares that it runs here."""
        return (
            _admits(locked.os, self.os)
            and _admits(locked.cpu, self.cpu)
            and (not self.libc or _admits(locked.libc, self.libc))
        )


def _admits(declared: list[str] | str, here: str) -> bool:
    """Apply `os`, `cpu` or `libc` of a `package.json`: `!x` excludes, others include."""
    declared = [declared] if isinstance(declared, str) else declared
    if f"!{here}" in declared:
        return False
    wanted = [each for each in declared if not each.startswith("!")]
    return not wanted or here in wanted or "any" in wanted


class NpmLock:
    """A lock that was read whole."""

    def __init__(self, text: str) -> None:
        """Read a `package-lock.json`. Raises `LockError` for what cannot be locked."""
        try:
            file = msgspec.json.decode(text, type=_File)
        except msgspec.DecodeError as exc:
            raise LockError(f"`npm` wrote a lock that is not understood: {exc}") from exc
        if file.lockfile_version != 3:
            raise LockError("`npm` wrote a lock of another version than 3: update npm")
        self._all = file.packages
        for path, locked in self._all.items():
            if path:
                _refuse_unlockable(path, locked)

    def packages(
        self, machine: Machine, about: Callable[[str], Packument]
    ) -> tuple[Package, ...]:
        """Give the packages of a platform, sorted by purl; `about` takes a name.

        Raises `LockError` when one version has two hashes.
        """
        paths = self._installed(machine)
        parents: dict[str, set[str]] = {}
        for path in ("", *paths):
            for needed in self._needed(path):
                if path and needed in paths:
                    parents.setdefault(self._purl(needed), set()).add(self._purl(path))
        found: dict[str, Package] = {}
        for path in sorted(paths):
            purl = self._purl(path)
            package = self._package(path, parents.get(purl, set()) - {purl}, about)
            if purl in found:
                package = _joined(found[purl], package)
            found[purl] = package
        return tuple(found[purl] for purl in sorted(found))

    def purl_at(self, name: str) -> str:
        """Give the purl of what the tree's top has under a name. Raises `LockError`."""
        if f"{_MODULES}{name}" not in self._all:
            raise LockError(f"`npm` did not lock `{name}`")
        return self._purl(f"{_MODULES}{name}")

    def _installed(self, machine: Machine) -> set[str]:
        """Give the folders that an installation has: what the root needs, here."""
        found: set[str] = set()
        waiting = [""]
        while waiting:
            path = waiting.pop()
            for needed in (*self._needed(path), *self._bundled(path)):
                locked = self._all[needed]
                is_skipped = locked.optional and not machine.runs(locked)
                if needed not in found and not is_skipped:
                    found.add(needed)
                    waiting.append(needed)
        return found

    def _needed(self, path: str) -> Iterator[str]:
        """Give the folders in which Node.js finds what a package depends on."""
        locked = self._all[path]
        names = {
            **locked.dependencies,
            **locked.optional_dependencies,
            **locked.peer_dependencies,
        }
        for name in names:
            for folder in _above(path):
                if f"{folder}{_MODULES}{name}" in self._all:
                    yield f"{folder}{_MODULES}{name}"
                    break

    def _bundled(self, path: str) -> Iterator[str]:
        if path:
            below = f"{path}/{_MODULES}"
            yield from (
                each
                for each, locked in self._all.items()
                if locked.in_bundle and each.startswith(below)
            )

    def _purl(self, path: str) -> str:
        locked = self._all[path]
        return purl_of("npm", locked.name or _name(path), locked.version)

    def _package(
        self, path: str, parents: set[str], about: Callable[[str], Packument]
    ) -> Package:
        locked, bundler = self._all[path], self._bundler(path)
        archive = self._all[bundler]
        of_archive = about(archive.name or _name(bundler))
        return Package(
            purl=self._purl(path),
            artifact=_artifact(bundler, archive),
            published_at=of_archive.published_at(archive.version),
            parents=tuple(sorted(parents)),
            paths=(path,),
            install_scripts=_scripts(locked, about(locked.name or _name(path))),
            license=locked.license if isinstance(locked.license, str) else "",
            deprecated=_reason(locked.deprecated),
            provenance=of_archive.provenance(archive.version),
        )

    def _bundler(self, path: str) -> str:
        """Give the folder of the package in whose archive a package comes."""
        while self._all[path].in_bundle:
            path = path.rpartition(f"/{_MODULES}")[0]
        return path


def without(text: str, paths: set[str], pins: Mapping[str, str]) -> str:
    """Give a lock without some folders, its root's dependencies set to `pins`."""
    tree = json.loads(text)
    packages = tree["packages"]
    for path in paths:
        packages.pop(path, None)
    packages[""] = {"dependencies": dict(sorted(pins.items()))}
    return f"{json.dumps(tree, indent=2, ensure_ascii=False)}\n"


def _refuse_unlockable(path: str, locked: Locked) -> None:
    name = _name(path)
    if locked.link or locked.resolved:
        raise LockError(
            f"`{visible(name)}` comes from a git repository, a URL or a folder and not "
            "from the registry: nobody can lock that; ask for a version without it"
        )
    if not _VERSION.fullmatch(locked.version) or not _PATH.fullmatch(path):
        raise LockError(f"`npm` locked no version of `{visible(name)}`")
    npm_source(locked.name or name)  # raises for what is no name
    if not locked.in_bundle:
        _sha512(path, locked)
    elif f"/{_MODULES}" not in path:
        raise LockError(f"`{name}` is bundled in nothing")


def _artifact(path: str, locked: Locked) -> Artifact:
    base = (locked.name or _name(path)).split("/")[-1]
    return Artifact(f"{base}-{locked.version}.tgz", sha512=_sha512(path, locked))


def _sha512(path: str, locked: Locked) -> str:
    """Give the SHA-512 of an integrity (W3C SRI) in hex. Raises `LockError` without."""
    for each in locked.integrity.split():
        algorithm, _, encoded = each.partition("-")
        if algorithm == "sha512":
            try:
                digest = base64.b64decode(encoded.partition("?")[0], validate=True)
            except binascii.Error:
                continue
            if len(digest) == 64:
                return digest.hex()
    raise LockError(
        f"the registry gives no SHA-512 of `{_name(path)}`: it cannot be locked; ask for a "
        "version that has one"
    )


def _joined(one: Package, other: Package) -> Package:
    """Join a package that lies in two folders."""
    if one.artifact != other.artifact:
        raise LockError(f"the registry gives two hashes of `{one.purl}`")
    return msgspec.structs.replace(
        one,
        paths=tuple(sorted({*one.paths, *other.paths})),
        parents=tuple(sorted({*one.parents, *other.parents})),
    )


def _scripts(locked: Locked, document: Packument) -> tuple[str, ...]:
    """Give the scripts that an installation would run; `install` when none is named.

    npm runs one of that name for what has a `binding.gyp`.
    """
    if not locked.has_install_script:
        return ()
    named = document.scripts(locked.version)
    return tuple(each for each in _INSTALL_SCRIPTS if each in named) or ("install",)


def _reason(deprecated: str | bool) -> str:
    if isinstance(deprecated, str):
        return deprecated
    return "yes" if deprecated else ""


def _name(path: str) -> str:
    return path.rpartition(_MODULES)[2]


def _above(path: str) -> Iterator[str]:
    """Give a folder and those above it in which Node.js looks, with a final slash."""
    while path:
        yield f"{path}/"
        path = re.sub(r"/?node_modules/(?:@[^/]+/)?[^/]+$", "", path)
    yield ""
