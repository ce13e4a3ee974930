"""Limits of all processes of a server together, where the system lets us set them.

`cgroups(7)`: version 2 when the folder above our own is ours to make groups in (with
systemd: `Delegate=yes` and `DelegateSubgroup=`), version 1 as root. Without either, limits
of each process are all there is.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bascule.launch.sandbox.leftovers import left_behind, make_folder
from bascule.launch.sandbox.spec import SandboxSpec

log = logging.getLogger("bascule.sandbox")

_BESIDES = 2
"""Processes of the sandbox itself."""
_CONTROLLERS = ("pids", "memory")


@dataclass(slots=True)
class ControlGroup:
    """Groups of one server; empty ones when none can be made."""

    folders: list[Path] = field(default_factory=list)

    @property
    def entrances(self) -> list[str]:
        """Give the files that a process id is written to so that it is in them."""
        return [str(it / "cgroup.procs") for it in self.folders]

    def remove(self) -> None:
        """Remove them; its processes have ended."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        self.folders.clear()


def group_for(spec: SandboxSpec) -> ControlGroup:
    """Make the groups of one start, and say in the log when nothing counts processes."""
    made = make_control_group(memory_bytes=spec.memory_bytes, processes=spec.processes)
    if os.geteuid() == 0 and not any((it / "pids.max").exists() for it in made.folders):
        # The kernel does not count root's processes by RLIMIT_NPROC.
        log.warning(
            "[%s] the number of its processes is not bounded: run Bascule as a user of its "
            "own, or give it a control group",
            spec.connector,
        )
    return made


def make_control_group(
    *, memory_bytes: int, processes: int, proc: Path = Path("/proc/self")
) -> ControlGroup:
    """Make groups with these limits; none where that is not allowed."""
    made = ControlGroup()
    for parent, version in _parents(proc):
        limits = {"pids.max": processes + _BESIDES, "memory.max": memory_bytes}
        if version == 1:
            limits = {"pids.max": limits["pids.max"], "memory.limit_in_bytes": memory_bytes}
        _sweep(parent)
        folder: Path | None = None
        try:
            folder = make_folder(parent)
            made.folders.append(folder)
            wanted = {name: it for name, it in limits.items() if (folder / name).exists()}
            if not wanted:
                raise FileNotFoundError(folder)
            for name, value in wanted.items():
                (folder / name).write_text(str(value))
        except OSError:
            if folder is not None:
                made.folders.remove(folder)
                with contextlib.suppress(OSError):
                    folder.rmdir()
    return made


def _sweep(parent: Path) -> None:
    for folder in left_behind(parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _parents(proc: Path) -> Iterator[tuple[Path, int]]:
    """Give the folders in which groups may be made, with their version."""
    try:
        own = (proc / "cgroup").read_text().splitlines()
        mounts = list(_mounts((proc / "mountinfo").read_text()))
    except OSError:
        return
    for line in own:
        _, names, path = line.split(":", 2)
        for controllers, root, point in mounts:
            inside = Path(path)
            if set(names.split(",")) - {""} != controllers or not inside.is_relative_to(
                root
            ):
                continue
            folder = point / inside.relative_to(root)
            if not controllers:
                # No group may have both processes and limited groups: ours has us.
                if _delegate(folder.parent):
                    yield folder.parent, 2
            elif controllers & set(_CONTROLLERS):
                yield folder, 1


def _delegate(folder: Path) -> bool:
    """Have a group of version 2 pass its limits on; False when it is not ours."""
    control = folder / "cgroup.subtree_control"
    try:
        if set(_CONTROLLERS) <= set(control.read_text().split()):
            return os.access(folder, os.W_OK)
        control.write_text(" ".join(f"+{it}" for it in _CONTROLLERS))
    except OSError:
        return False
    return True


def _mounts(text: str) -> Iterator[tuple[set[str], Path, Path]]:
    """Give controllers (none for version 2), root and place of what is mounted."""
    for line in text.splitlines():
        place, _, kind = line.partition(" - ")
        fields, (name, _, options) = place.split(), kind.split(" ", 2)
        if name == "cgroup2":
            yield set(), Path(fields[3]), Path(fields[4])
        elif name == "cgroup":
            found = set(options.split(",")) & {*_CONTROLLERS, "cpu", "cpuacct", "blkio"}
            if found & set(_CONTROLLERS):
                yield found, Path(fields[3]), Path(fields[4])
