"""Making the tree of a connector: strictly from the lock, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from bascule.lock import bundle, bundle_launch, install_path, package_facts, programs
from bascule.lock.build_scripts import run_install_scripts
from bascule.lock.install_npm import unpack_packages
from bascule.lock.install_pypi import compile_modules, unpack_wheels
from bascule.lock.launcher import Asked
from bascule.lock.model import Build, LockError, Package, Runtime, Tree
from bascule.lock.runtime import FoundRuntime, Kind
from bascule.lock.store import Store, erase
from bascule.lock.wheel_records import BrokenWheelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be installed; all of it stands in the lock or is made for it."""

    asked: Asked
    root: str = ""
    """purl of the package that was asked for; empty for a path."""
    packages: tuple[Package, ...] = ()
    """All that is unpacked on this platform, one artefact each."""
    native_lock: str = ""
    """Text of `package-lock.json` for packages of npm."""
    scripts_allowed: tuple[str, ...] = ()
    base: Path
    """Where relative paths of the command start."""
    tree: Tree | None = None
    """What must come out; None where it becomes the lock."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A tree in the store, and how it is run."""

    tree: Tree
    runtime: Runtime
    argv: tuple[str, ...]
    """With placeholders, see `entry_point`."""
    packages: tuple[Package, ...]
    """As they were ordered, with what only their files tell."""
    notes: tuple[str, ...] = ()
    """What somebody has to know or do before it works, one sentence each."""


def kind_of_runtime(asked: Asked, base: Path) -> Kind:
    """Tell which interpreter a command needs; relative paths start at `base`.

    Raises `LockError` for what is not run.
    """
    if asked.source.kind == "pypi":
        return "python"
    if asked.source.kind == "npm":
        return "node"
    if asked.source.kind == "path":
        return {"python": "python", "node": "node"}.get(asked.entry, "none")  # type: ignore[return-value]
    if asked.source.kind == "mcpb":
        archive, _ = bundle.read_bundle(_bundle_path(asked, base))
        return bundle_launch.runtime_of_bundle(bundle.read_manifest(archive))
    raise LockError(f"a connector of kind `{asked.source.kind}` has no tree to install")


def _bundle_path(asked: Asked, base: Path) -> Path:
    return base / Path(asked.source.spec).expanduser()


def install(
    order: Order,
    store: Store,
    runtime: FoundRuntime,
    *,
    environment: Mapping[str, str],
    artifacts: Path | None = None,
) -> Installed:
    """Make the tree of a connector and put it into the store.

    The same order gives the same tree, wherever and how often it is made. Of what a package
    brings, nothing is run but install scripts that were allowed. `environment` is the
    operator's: package managers find registries and credentials there. `artifacts` is a
    folder of wheels or tarballs to take packages from instead. Raises `DriftedTreeError`
    when something else than the order's tree comes out, and `LockError`; the store is then
    as before.
    """
    with store.fresh() as folder, store.fresh() as scratch:
        made = _Maker(
            order,
            folder,
            scratch,
            store.downloads,
            runtime,
            environment,
            artifacts,
        ).make()
        tree = store.add(folder, locked=order.tree)
    return Installed(tree, runtime.runtime, made.argv, made.packages, made.notes)


def installed_already(
    order: Order, store: Store, build: Build, runtime: FoundRuntime
) -> Installed | None:
    """Give what `install` would give when the store has it, every file of it hashed.

    None where it must be installed: the tree is missing or drifted, the interpreter is
    another, or the program lies on this machine and may have changed. Raises `LockError`
    when the tree has no such program as is asked for.
    """
    of_registry = order.asked.source.kind in {"pypi", "npm"}
    if not of_registry or runtime.runtime != build.runtime:
        return None
    try:
        store.verify(build.tree)
    except LockError:
        return None
    argv = _program(order, store.path(build.tree.sha256))
    return Installed(build.tree, build.runtime, argv, order.packages)


def _program(order: Order, folder: Path) -> tuple[str, ...]:
    """Give what runs a package of a registry that was unpacked into a folder."""
    find = programs.python_argv if order.asked.source.kind == "pypi" else programs.node_argv
    for package in order.packages:
        if package.purl == order.root:
            return find(folder, package, order.asked)
    raise LockError(f"`{order.root}` is not among the locked packages")


class _Made(NamedTuple):
    """What a folder was filled with."""

    argv: tuple[str, ...]
    packages: tuple[Package, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Fills one folder."""

    order: Order
    folder: Path
    scratch: Path
    cache: Path
    runtime: FoundRuntime
    environment: Mapping[str, str]
    artifacts: Path | None

    def make(self) -> _Made:
        """Fill the folder."""
        if self.order.scripts_allowed and self.order.asked.source.kind != "npm":
            raise LockError("only packages of npm have install scripts that can be allowed")
        match self.order.asked.source.kind:
            case "pypi":
                return self._pypi()
            case "npm":
                return self._npm()
            case "path":
                return self._path()
            case "mcpb":
                return self._bundle()
            case kind:
                raise LockError(f"a connector of kind `{kind}` has no tree to install")

    def _pypi(self) -> _Made:
        try:
            self._unpack_wheels()
        except BrokenWheelError:
            # Perhaps not the wheel but what the cache kept of it. Once more, from nothing.
            erase(self.cache)
            for left in self.folder.iterdir():
                erase(left) if left.is_dir() else left.unlink()
            self._unpack_wheels()
        packages = package_facts.facts_of_wheels(self.folder, self.order.packages)
        return _Made(_program(self.order, self.folder), packages)

    def _unpack_wheels(self) -> None:
        unpack_wheels(
            self.order.packages,
            self.folder,
            self.runtime,
            scratch=self.scratch,
            cache=self.cache,
            environment=self.environment,
            artifacts=self.artifacts,
        )

    def _npm(self) -> _Made:
        unpack_packages(
            self.order.packages,
            self.order.native_lock,
            self.folder,
            environment=self.environment,
            artifacts=self.artifacts,
        )
        packages = package_facts.facts_of_npm(self.folder, self.order.packages)
        if self.order.scripts_allowed:
            self._run_scripts(packages)
            # What a package said of itself before counts: its script can change that.
            after = package_facts.facts_of_npm(self.folder, self.order.packages)
            packages = tuple(
                replace(before, native=built.native)
                for before, built in zip(packages, after, strict=True)
            )
        return _Made(_program(self.order, self.folder), packages)

    def _path(self) -> _Made:
        source, program = install_path.project_of(self.order.asked, self.order.base)
        install_path.copy_project(source, self.folder)
        self._compile()
        argv = install_path.path_argv(self.folder, program, self.order.asked)
        return _Made(argv, self.order.packages)

    def _bundle(self) -> _Made:
        path = _bundle_path(self.order.asked, self.order.base)
        archive, sha256 = bundle.read_bundle(path)
        if any(it.artifact.sha256 != sha256 for it in self.order.packages):
            raise LockError(f"`{path}` is not the bundle that is locked: its hash differs")
        manifest = bundle.unpack_bundle(archive, self.folder)
        self._compile()
        arguments = self.order.asked.arguments
        argv = bundle_launch.bundle_argv(manifest, self.folder, arguments)
        package = bundle.bundle_package(manifest, path, sha256)
        facts = package_facts.facts_of_folder(self.folder, package)
        return _Made(argv, (facts,), bundle_launch.bundle_notes(manifest))

    def _compile(self) -> None:
        if self.runtime.runtime.kind == "python":
            compile_modules(self.folder, self.runtime, scratch=self.scratch)

    def _run_scripts(self, packages: tuple[Package, ...]) -> None:
        """Run what was allowed, and nothing else.

        Raises `LockError` for a package that was allowed to run what it has not.
        """
        with_scripts = {it.purl: it for it in packages if it.install_scripts}
        for purl in self.order.scripts_allowed:
            package = with_scripts.get(purl)
            if package is None:
                names = ", ".join(f"`{it}`" for it in sorted(with_scripts)) or "none"
                raise LockError(
                    f"`{purl}` has no install scripts to allow; those that have: {names}"
                )
            run_install_scripts(package, self.folder, self.runtime)
