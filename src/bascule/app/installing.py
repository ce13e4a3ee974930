"""Bringing what is locked into the store, or finding that it is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bascule.app.lock_place import LockPlace
from bascule.lock.install import Order, install
from bascule.lock.launcher import parse_command
from bascule.lock.lock_file import read_native
from bascule.lock.manifest import Difference
from bascule.lock.model import Build, Entry, LockError
from bascule.lock.runtime import FoundRuntime, find_runtime, platform_name
from bascule.lock.store import DriftedTreeError

State = Literal["present", "installed", "differs", "nothing"]
WITHOUT_TREE = frozenset({"http", "oci"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one connector."""

    connector: str
    state: State
    """`differs`: what the lock gives is not what was locked, and it is not in the store;
    `nothing`: there is nothing to install."""
    tree: str = ""
    """Digest that is locked."""
    found: str = ""
    """Digest of what came out instead."""
    differences: tuple[Difference, ...] = ()
    """Files, where it is known which."""
    notes: tuple[str, ...] = ()


def install_entry(place: LockPlace, name: str, entry: Entry) -> Outcome:
    """Install what is locked for this platform unless the store has it, whole.

    Raises `LockError` when that cannot be done at all.
    """
    if entry.source.kind in WITHOUT_TREE:
        return Outcome(name, "nothing")
    build = entry.builds.get(platform_name())
    if build is None:
        locked = ", ".join(sorted(entry.builds)) or "no platform"
        raise LockError(
            f"connector `{name}` is locked for {locked} and not for {platform_name()}: run "
            f"`bascule lock {name}` on such a machine"
        )
    if _is_there(place, build):
        return Outcome(name, "present", build.tree.sha256)
    runtime = find_runtime(
        build.runtime.kind, place.environment, like=build.runtime, cache=place.runtimes
    )
    notes = _other_runtime(name, build, runtime)
    try:
        installed = install(
            _order(place, name, entry, build),
            place.store,
            runtime,
            environment=place.environment,
            artifacts=place.artifacts,
        )
    except DriftedTreeError as exc:
        return Outcome(
            name,
            "differs",
            build.tree.sha256,
            exc.found,
            tuple(exc.differences),
            (*notes, str(exc)),
        )
    if installed.argv != entry.launch.argv:
        told = "the lock runs another program than its packages have: lock it anew"
        return Outcome(name, "differs", build.tree.sha256, notes=(*notes, told))
    return Outcome(name, "installed", build.tree.sha256, notes=notes)


def _is_there(place: LockPlace, build: Build) -> bool:
    try:
        place.store.verify(build.tree)
    except LockError:
        return False
    return True


def _order(place: LockPlace, name: str, entry: Entry, build: Build) -> Order:
    native = ""
    if entry.native_lock is not None:
        native = read_native(place.folder, name, entry.native_lock)
    asked = parse_command(entry.launch.command)
    return Order(
        asked=replace(asked, source=entry.source),
        root=entry.root,
        packages=entry.packages,
        native_lock=native,
        scripts_allowed=entry.scripts_allowed,
        base=place.folder,
        tree=build.tree,
    )


def _other_runtime(name: str, build: Build, found: FoundRuntime) -> tuple[str, ...]:
    """Say that the interpreter is another; bytecode then may be, too."""
    locked, here = build.runtime, found.runtime
    if locked == here:
        return ()
    which = f"{here.kind} {here.version}"
    if here.version == locked.version:
        which += " of another build"
    return (
        f"connector `{name}` is locked with {locked.kind} {locked.version}, and {which} is "
        "what was found: put the locked one on PATH",
    )
