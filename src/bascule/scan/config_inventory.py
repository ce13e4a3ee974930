"""All servers that the files of clients name, and what could not be read of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import msgspec

from bascule.scan.clients import Format, Location, Table, table
from bascule.scan.clients.matching import matching
from bascule.scan.clients.places import Home, is_absolute, places
from bascule.scan.config_files import ConfigFileError, Document, read_document
from bascule.scan.config_shapes import Misshapen, Raw, entries_elsewhere, entries_of
from bascule.scan.configured import Configured, configured
from bascule.scan.containers_configured import of_compose, of_registry
from bascule.scan.entry_words import clean
from bascule.scan.opened import opened
from bascule.scan.project_walk import Looking, Patterns, Walk
from bascule.scan.pruning import Budget, pruned
from bascule.scan.report import Gap

_VALUES, _CHARACTERS = 20_000, 1 << 20
"""Of the servers of one file, and of one server, that are looked at."""
_VALUES_OF_ONE, _CHARACTERS_OF_ONE = 2_000, 1 << 16
_NAMES_TOLD = 5
_MOST_LEVELS = 6
"""Folders between a home and a client's file."""
_ENDINGS: dict[str, Format] = {
    ".json": "json",
    ".jsonc": "jsonc",
    ".code-workspace": "jsonc",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
}


@dataclass(slots=True)
class Inventory:
    """What was found."""

    servers: list[Configured] = field(default_factory=list)
    documents: list[tuple[Document, Location]] = field(default_factory=list)
    """Each file that was read, with each location that it stands for."""
    gaps: list[Gap] = field(default_factory=list)

    def seen_from(self, folder: str) -> None:
        """Name what is below a folder from there, wherever that lies.

        So the findings of a repository have the same ids in each of its copies.
        """
        above = os.path.realpath(folder).rstrip("/") + "/"
        self.servers = [
            replace(it, path=it.path.removeprefix(above)) for it in self.servers
        ]
        self.documents = [
            (replace(document, path=document.path.removeprefix(above)), location)
            for document, location in self.documents
        ]
        self.gaps = [
            msgspec.structs.replace(it, target=it.target.removeprefix(above))
            for it in self.gaps
        ]


def inventory(
    homes: Iterable[Home] = (),
    paths: Sequence[str] = (),
    *,
    walk: int | None = None,
    looking: Looking | None = None,
) -> Inventory:
    """Read the files of the clients of some homes, and of files and folders that are named.

    `walk` is the number of folders that are searched for projects; None for the usual one.
    `looking` is told each of them. Where all paths are relative, what is below the working
    directory is named from there. Nothing that is found there makes it raise.
    """
    reading = _Reading(table())
    if walk is not None:
        reading.walk.left = walk
    if looking is not None:
        reading.walk.looking = looking
    for path in paths:
        reading.read_named(path)
    each = tuple(homes)
    for home in each:
        reading.read_places(home)
    reading.read_opened()
    for home in each:
        reading.search(home)
    reading.join_docker()
    if paths and not any(map(is_absolute, paths)):
        reading.found.seen_from(os.curdir)
    return reading.found


class _Reading:
    """The files that were read so far."""

    def __init__(self, known: Table) -> None:
        self.found = Inventory()
        self.walk = Walk(Patterns.of(known), self._tell)
        self._table = known
        self._seen: set[str] = set()
        self._opened: dict[str, None] = {}

    def read_places(self, home: Home) -> None:
        """Read where the clients of a user look."""
        candidates: dict[str, tuple[list[Location], str | None]] = {}
        for place in places(self._table, home):
            for path in matching(place.pattern, self._tell):
                candidates.setdefault(path, ([], place.base))[0].append(place.location)
        for path, (locations, base) in candidates.items():
            self._read(path, locations, base)

    def read_opened(self) -> None:
        """Read the projects that clients have opened, wherever these are."""
        for folder in tuple(self._opened):
            if folder.endswith(".code-workspace"):
                base = folder.rpartition("/")[0]
                self._read_candidates([(folder, self._workspace())], base)
            else:
                self._read_candidates(self.walk.of_project(folder), folder)

    def search(self, home: Home) -> None:
        """Read the projects below a home, opened or not."""
        if home.is_local:
            self._read_candidates(self.walk.below(home.path), home.path)
        else:
            self._tell(
                home.path,
                "projects were not searched for across the border of a virtual machine: "
                "name their folders on the command line",
            )

    def read_named(self, path: str) -> None:
        """Read a file or folder that a person named; a link is what it leads to."""
        real = os.path.realpath(path)
        if os.path.isdir(real):  # noqa: PTH112
            self._read_candidates(self._within(real), real)
            self._read_candidates(self.walk.below(real), real)
            return
        locations = self._like(real)
        if locations:
            self._read(real, locations, None)
        else:
            self._tell(real, "its name ends as that of no format of clients does")

    def join_docker(self) -> None:
        """Look up in Docker's catalog what is switched on."""
        by_reads = {location.reads: document for document, location in self.found.documents}
        registry, catalog = by_reads.get("registry"), by_reads.get("catalog")
        if registry is not None:
            known = catalog.value if catalog is not None else None
            client = "Docker MCP Toolkit"
            self._add(of_registry(registry.value, known), client, registry.path)

    def _read_candidates(self, found: Iterable[tuple[str, Location]], base: str) -> None:
        by_path: dict[str, list[Location]] = {}
        for path, location in found:
            by_path.setdefault(path, []).append(location)
        for path, locations in by_path.items():
            self._read(path, locations, base)

    def _read(self, path: str, locations: Sequence[Location], base: str | None) -> None:
        real = os.path.realpath(path)
        if real in self._seen:
            return
        self._seen.add(real)
        first = locations[0]
        try:
            document = read_document(path, first.format, base)
        except ConfigFileError as exc:
            self._tell(path, str(exc), f"servers of {first.client}")
            return
        shown = clean(path)
        count = len(self.found.servers)
        for location in locations:
            self.found.documents.append((document, location))
            self._opened |= dict.fromkeys(opened(document.value, location))
            each: Iterator[Raw | Misshapen] = entries_of(document.value, location)
            if location.reads == "compose":
                each = of_compose(document.value)
            self._add(each, location.client, shown)
        if len(self.found.servers) == count and first.reads == "servers":
            self._add(entries_elsewhere(document.value, first), first.client, shown)

    def _add(self, each: Iterable[Raw | Misshapen], client: str, path: str) -> None:
        budget = Budget(_VALUES, _CHARACTERS)
        known = {(it.path, it.where) for it in self.found.servers if it.path == path}
        cut = []
        for entry in each:
            if isinstance(entry, Misshapen):
                self._tell(path, entry.why, f"servers of {client}")
            elif (path, entry.where) not in known:
                part = budget.share(_VALUES_OF_ONE, _CHARACTERS_OF_ONE)
                server = _configured(entry, client, path, part)
                self.found.servers.append(server)
                budget.give_back(part)
                cut += [server.shown_name] if part.was_cut else []
        if cut:
            some = ", ".join(f"`{name}`" for name in cut[:_NAMES_TOLD])
            more = f" and {len(cut) - _NAMES_TOLD} more" if len(cut) > _NAMES_TOLD else ""
            self._tell(path, f"{some}{more}: more than is looked at: left out the rest")

    def _within(self, folder: str) -> Iterator[tuple[str, Location]]:
        """Give the files of a folder that is a home, or a client's own folder in one."""
        at = folder
        for _ in range(_MOST_LEVELS):
            for location in self._table.locations:
                pattern = f"{at}/{location.path.removeprefix('~/')}"
                is_below = location.scope != "system" and pattern.startswith(f"{folder}/")
                if is_below:
                    for path in matching(pattern, self._tell):
                        yield path, location
            at = at.rpartition("/")[0]

    def _like(self, path: str) -> list[Location]:
        """Give the locations whose path ends as a named file's does, else its format's."""
        plain = path.replace(os.sep, "/")
        name = plain.rpartition("/")[2]
        alike = []
        for location in self._table.locations:
            tail = location.path.removeprefix("~/")
            if fnmatchcase(plain, f"*/{tail}") or fnmatchcase(name, tail):
                alike.append(location)
        if alike:
            return alike
        same_name = [
            it for it in self._table.locations if it.path.rpartition("/")[2] == name
        ]
        if same_name:
            return same_name[:1]
        format = _ENDINGS.get(os.path.splitext(name)[1].lower())  # noqa: PTH122
        if format is None:
            return []
        return [
            Location(
                "a file", "any", "project", name, format, "servers", "mcpServers", "source"
            )
        ]

    def _workspace(self) -> Location:
        return next(iter(self.walk.patterns.by_ending.values()))

    def _tell(self, path: str, why: str, what: str = "servers of clients") -> None:
        self.found.gaps.append(Gap(target=clean(path) or "/", what=what, why=clean(why)))


def _configured(entry: Raw, client: str, path: str, budget: Budget) -> Configured:
    value = pruned(entry.value, budget)
    return configured(
        entry.name,
        value if isinstance(value, dict) else {},
        client=client,
        path=path,
        where=clean(entry.where),
        project=entry.project,
    )
