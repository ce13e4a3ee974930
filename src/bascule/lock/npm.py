"""Packages of npm, resolved by the operator's `npm`; no script of a package is run."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from bascule.clock import UnixTime
from bascule.lock.cooldown import Rule, rfc3339, unix_time
from bascule.lock.model import LockError, Package
from bascule.lock.npm_cache import Packument, read_packument
from bascule.lock.npm_lock import Machine, NpmLock, without
from bascule.lock.purl import name_of, version_of
from bascule.lock.resolver import (
    RESOLVE_SECONDS,
    NothingFoundError,
    Resolved,
    complaint,
    run,
    scratch,
)

PUBLIC_REGISTRY = "https://registry.npmjs.org/"

_NOTHING = re.compile(r"\bcode (?:E404|ETARGET|ENOVERSIONS|ERESOLVE)\b")
_LOCK = "package-lock.json"
_FLAGS = (
    *("--package-lock-only", "--package-lock", "--ignore-scripts", "--no-audit"),
    *("--no-fund", "--save", "--save-exact", "--dry-run=false", "--workspaces=false"),
    *(
        "--force=false",
        "--prefer-dedupe=false",
        "--lockfile-version=3",
        "--install-strategy=hoisted",
    ),
    *("--omit-lockfile-registry-resolved=true", "--include=optional", "--omit=dev"),
    *("--legacy-peer-deps=false", "--global=false", "--no-update-notifier"),
    *("--fetch-timeout=15000", "--fetch-retries=2", "--fetch-retry-mintimeout=1000"),
    *("--fetch-retry-maxtimeout=4000", "--color=false", "--loglevel=error"),
)
_ELSEWHERE = (
    *("--allow-git=none", "--allow-file=none", "--allow-directory=none"),
    "--git=git-is-not-run",
)
"""Packages come from the registry. The first three are known since npm 11, and older ones
would run git. URLs stay allowed, since npm fetches packages that bundle others by theirs:
what comes by a URL of its own is refused in the lock."""


def this_machine() -> Machine:
    """Give this platform in npm's words."""
    cpus = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "i686": "ia32"}
    cpu = platform.machine().lower()
    libc = ""
    if sys.platform == "linux":
        libc = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    return Machine(sys.platform, cpus.get(cpu, cpu), libc)


@dataclass(frozen=True)
class Npm:
    """The operator's `npm`."""

    environment: Mapping[str, str]
    progress: Callable[[str], None]
    machine: Machine = field(default_factory=this_machine)
    seconds: float = RESOLVE_SECONDS
    """For each question to npm."""

    def resolve(self, wanted: Sequence[tuple[str, str]], rule: Rule) -> Resolved:
        """Resolve names with their ranges, the root first, to what is old enough.

        Raises `LockError` when there is no such set, and for what comes from elsewhere than
        a registry.
        """
        with scratch(self.environment) as folder:
            attempt = _Attempt(self, folder, dict(wanted), wanted[0][0])
            found = attempt.old_enough(rule)
            attempt.pin()
            native = attempt.text()
        public = frozenset(
            package.purl
            for package in found
            if self.registry_of(name_of(package.purl)) == PUBLIC_REGISTRY
        )
        return Resolved(attempt.root, found, native, public)

    def run(self, folder: Path, *arguments: str) -> str:
        """Run npm; gives its output. Raises `LockError` with what it complained of."""
        said = run(
            [self._program, *arguments],
            folder=folder,
            environment=self.environment,
            seconds=self.seconds,
        )
        if not said.succeeded and _NOTHING.search(said.messages):
            raise NothingFoundError(f"`npm` found no packages: {complaint(said.messages)}")
        if not said.succeeded:
            raise LockError(f"`npm` failed: {complaint(said.messages)}")
        return said.output

    @cached_property
    def _program(self) -> str:
        found = shutil.which("npm", path=self.environment.get("PATH"))
        if found is None:
            raise LockError("`npm` is not on PATH: install Node.js with npm")
        return found

    @cached_property
    def _settings(self) -> Mapping[str, object]:
        with scratch(self.environment) as folder:
            output = self.run(folder, "config", "list", "--json", "--workspaces=false")
        try:
            settings = json.loads(output)
        except ValueError as exc:
            raise LockError("`npm config list` gave no JSON") from exc
        return settings if isinstance(settings, dict) else {}

    def registry_of(self, name: str) -> str:
        """Give the registry's URL for a package, by its scope."""
        scope = name.partition("/")[0] if name.startswith("@") else ""
        found = self._settings.get(f"{scope}:registry") or self._settings.get("registry")
        return f"{str(found or PUBLIC_REGISTRY).rstrip('/')}/"

    def scope_index(self, name: str) -> str:
        """Give the scope when it has a registry of its own, as an alias of that."""
        scope = name.partition("/")[0] if name.startswith("@") else ""
        return scope if scope and self._settings.get(f"{scope}:registry") else ""

    def about(self, name: str) -> Packument:
        """Give what the registry said about a package when npm asked for it."""
        cache = Path(str(self._settings.get("cache", "")))
        return read_packument(cache, self.registry_of(name), name)


class _Attempt:
    """A folder in which npm makes a lock, and makes it again without what is too young."""

    def __init__(self, npm: Npm, folder: Path, wanted: dict[str, str], name: str) -> None:
        self._npm = npm
        self._folder = folder
        self._wanted = wanted
        self._name = name
        self._about = lru_cache(maxsize=None)(npm.about)
        self._packages: tuple[Package, ...] = ()
        self.root = ""

    def old_enough(self, rule: Rule) -> tuple[Package, ...]:
        """Resolve with the cooldown; look without it at what fails and what has advisories.

        Raises `LockError`.
        """
        if not rule.cooldown.is_any:
            return self._resolve(None)
        failed = False
        affected: frozenset[str] = frozenset()
        try:
            affected = rule.affected(self._cooled(rule))
        except NothingFoundError:
            failed = True
        if not affected and not failed:
            return self._packages
        newest = self._resolve(None)
        exempt = rule.exempt(newest, self.root, affected=affected)
        if failed and not exempt:
            rule.refuse(newest, self.root)
            return newest
        return self._refreshed(rule, exempt)

    def _cooled(self, rule: Rule) -> tuple[Package, ...]:
        """Resolve to what is old enough, whatever there is that is newer.

        npm has one cut for all packages, and mostly one question is enough: when the root
        has no newer version that would be allowed.
        """
        root_cut = rule.cooldown.cut(rule.now, is_root=True)
        cut = rule.cooldown.cut(rule.now, is_root=False)
        with contextlib.suppress(NothingFoundError):
            self._resolve(cut)
            times = map(unix_time, self._about(self._name).times())
            if not any(time is not None and cut < time <= root_cut for time in times):
                return self._packages
        self._resolve(root_cut)
        return self._refreshed(rule, frozenset())

    def _refreshed(self, rule: Rule, exempt: Collection[str]) -> tuple[Package, ...]:
        """Take what is too young out of the lock, and let npm find it anew."""
        young = rule.too_young(self._packages, self.root, exempt=exempt)
        if any(it.purl == self.root for it in young):
            self._again(young, rule.cooldown.cut(rule.now, is_root=True))
            young = rule.too_young(self._packages, self.root, exempt=exempt)
        if young:
            self._again(young, rule.cooldown.cut(rule.now, is_root=False))
        rule.refuse(self._packages, self.root, exempt=exempt)
        return self._packages

    def text(self) -> str:
        """Give the lock that npm wrote. Raises `LockError` without."""
        try:
            return (self._folder / _LOCK).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise LockError("`npm` wrote no lock: look at its settings") from exc

    def pin(self) -> None:
        """Write exact versions of what was asked for, so that the lock names no range."""
        lock = NpmLock(self.text())
        pins = {name: version_of(lock.purl_at(name)) for name in self._wanted}
        self._write(set(), pins)

    def _again(self, young: Sequence[Package], cut: UnixTime) -> None:
        """Resolve anew what is too young, and keep all else as it is."""
        paths = {path for package in young for path in package.paths}
        kept = {it.purl for it in self._packages} - {it.purl for it in young}
        lock = NpmLock(self.text())
        pins = {
            name: version_of(purl) if (purl := lock.purl_at(name)) in kept else range_
            for name, range_ in self._wanted.items()
        }
        self._write(paths, pins)
        self._resolve(cut, pins)

    def _resolve(
        self, cut: UnixTime | None, pins: Mapping[str, str] | None = None
    ) -> tuple[Package, ...]:
        """Let npm write a lock, from what the folder has; None for no cut."""
        if pins is None:
            (self._folder / _LOCK).unlink(missing_ok=True)
        manifest = {"private": True, "dependencies": dict(pins or self._wanted)}
        (self._folder / "package.json").write_text(json.dumps(manifest))
        self._npm.progress("asking the registry which packages are needed")
        before = [f"--before={rfc3339(cut)}"] if cut is not None else []
        self._npm.run(self._folder, "install", *_FLAGS, *_ELSEWHERE, *before)
        lock = NpmLock(self.text())
        self.root = lock.purl_at(self._name)
        self._packages = lock.packages(self._npm.machine, self._about)
        return self._packages

    def _write(self, dropped: set[str], pins: Mapping[str, str]) -> None:
        (self._folder / _LOCK).write_text(without(self.text(), dropped, pins))
