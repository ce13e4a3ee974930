"""Files of projects, found in a folder and below, whether a client ever opened them or not.

Bounded in folders and not in time, so that the same home gives the same answer; the nearest
first. Links to folders are not followed, network file systems not entered: both are told.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bascule.scan.clients import Location, Table
from bascule.scan.clients.matching import SKIPPED, Tell, entries, matching

MOST_FOLDERS = 20_000
"""Of all homes together."""
_MOST_LINKS = 200
"""Whose target is looked up."""
_LINKS_TOLD = 5

Looking = Callable[[str], object]
"""Is told each folder that is searched."""

_NOT_PROJECTS = SKIPPED | {
    *(".cache", ".npm", ".yarn", ".pnpm-store", ".bun", ".deno", "site-packages"),
    *(
        ".venv",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
    ),
    *(".cargo", ".rustup", ".gradle", ".m2", ".nvm", ".pyenv", ".rbenv", ".asdf", ".conda"),
    *("Trash", ".Trash", "Caches", "Containers", "AppData", ".terraform", ".next"),
    *("workspaceStorage", "globalStorage", "blob_storage", "Cache", "CachedData"),
}
"""Folders where tools keep what they made or fetched; projects are elsewhere."""
_OF_EDITORS = frozenset({"extensions"})
"""In hidden folders: extensions are looked for where the table says."""
_OF_KERNEL = frozenset(
    {
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "debugfs",
        "tracefs",
        "bpf",
    }
    | {"securityfs", "mqueue", "pstore", "configfs", "fusectl", "hugetlbfs"}
)
_OVER_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "autofs", "afs", "ceph", "fuse.sshfs", "davfs"}
    | {"fuse.rclone", "fuse.gvfsd-fuse", "fuse.s3fs", "fuse.davfs2"}
)


@dataclass(slots=True)
class Patterns:
    """Locations of projects, by the first name of their path."""

    by_name: dict[str, list[tuple[str, Location]]] = field(default_factory=dict)
    by_ending: dict[str, Location] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table) -> Patterns:
        """Sort the locations of projects."""
        patterns = cls()
        for location in table.locations:
            if location.scope != "project":
                continue
            first, _, rest = location.path.partition("/")
            if first.startswith("*"):
                patterns.by_ending[first[1:]] = location
            else:
                patterns.by_name.setdefault(first, []).append((rest, location))
        return patterns

    def of_name(self, folder: str, name: str) -> Iterator[tuple[str, Location]]:
        """Give patterns of paths that begin with a name in a folder."""
        for rest, location in self.by_name.get(name, ()):
            yield (f"{folder}/{name}/{rest}" if rest else f"{folder}/{name}"), location
        if "." in name:
            location_of_ending = self.by_ending.get(name[name.rindex(".") :])
            if location_of_ending is not None:
                yield f"{folder}/{name}", location_of_ending


@dataclass(slots=True)
class Walk:
    """A search for projects, with a budget that several folders share."""

    patterns: Patterns
    tell: Tell
    left: int = MOST_FOLDERS
    looking: Looking = lambda folder: None

    def of_project(self, folder: str) -> Iterator[tuple[str, Location]]:
        """Give the files of one project, and of nothing below it."""
        for name in self.patterns.by_name:
            yield from self._found(folder, name)
        for entry in entries(folder, self.tell):
            if any(entry.name.endswith(ending) for ending in self.patterns.by_ending):
                yield from self._found(folder, entry.name)

    def below(self, root: str) -> Iterator[tuple[str, Location]]:
        """Give the files of all projects in a folder and below it.

        Hidden folders come last: tools have thousands, and people few.
        """
        waiting, hidden = deque([root]), deque[str]()
        links, mounts = _Links(root), _mounts_below(root)
        while waiting or hidden:
            folder = waiting.popleft() if waiting else hidden.popleft()
            if self.left <= 0:
                self._stopped(root, folder)
                break
            self.left -= 1
            self.looking(folder)
            found = entries(folder, self.tell)
            for entry in found:
                if entry.name in self.patterns.by_name or "." in entry.name[1:]:
                    yield from self._found(folder, entry.name)
            for path in self._folders(folder, found, links, mounts):
                (hidden if "/." in path.removeprefix(root) else waiting).append(path)
        links.told(self.tell)

    def _found(self, folder: str, name: str) -> Iterator[tuple[str, Location]]:
        for pattern, location in self.patterns.of_name(folder, name):
            for path in matching(pattern, self.tell):
                yield path, location

    def _folders(
        self,
        folder: str,
        found: Sequence[os.DirEntry[str]],
        links: _Links,
        mounts: Mapping[str, str],
    ) -> Iterator[str]:
        if any(entry.name == "pyvenv.cfg" for entry in found):
            return
        of_tools = _NOT_PROJECTS | _OF_EDITORS if "/." in folder else _NOT_PROJECTS
        for entry in found:
            if entry.name in of_tools:
                continue
            if entry.is_symlink():
                links.note(entry)
            elif entry.path in mounts:
                yield from self._mounted(entry.path, mounts[entry.path])
            elif entry.is_dir(follow_symlinks=False):
                yield entry.path

    def _mounted(self, path: str, kind: str) -> Iterator[str]:
        if kind in _OVER_NETWORK:
            self.tell(path, "it is on the network, and was not searched for projects")
        elif kind not in _OF_KERNEL:
            yield path

    def _stopped(self, root: str, folder: str) -> None:
        self.tell(
            root,
            f"the search for projects ended before `{folder}`, after as many folders as "
            "one scan searches: name the folders of your projects on the command line",
        )


@dataclass(slots=True)
class _Links:
    """Links to folders outside of the one that is searched."""

    root: str
    out: list[str] = field(default_factory=list)
    seen: int = 0

    def note(self, entry: os.DirEntry[str]) -> None:
        self.seen += 1
        if self.seen > _MOST_LINKS:
            return
        real = os.path.realpath(entry.path)
        root = os.path.realpath(self.root or "/").rstrip("/")
        if real != root and not real.startswith(f"{root}/") and os.path.isdir(real):  # noqa: PTH112
            self.out.append(entry.path)

    def told(self, tell: Tell) -> None:
        if not self.out:
            return
        some = ", ".join(f"`{path}`" for path in self.out[:_LINKS_TOLD])
        more = len(self.out) - _LINKS_TOLD
        tell(
            self.root,
            f"links lead out of it and were not followed: {some}"
            + (f", and {more} more" if more > 0 else ""),
        )


def _mounts_below(root: str) -> Mapping[str, str]:
    """Give what is mounted below a folder, and its kind: what hangs must not be touched."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        return {}
    found, real = {}, os.path.realpath(root or "/").rstrip("/")
    for line in lines:
        before, _, after = line.partition(" - ")
        path = before.split()[4].replace("\\040", " ")
        if path.startswith(f"{real}/"):
            found[root + path.removeprefix(real)] = after.partition(" ")[0]
    return found
