"""How long it takes to hold packages against imported advisories."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from bascule.app.advisories import assess_all
from bascule.app.files import data_directory
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.config.model import Server
from bascule.lock.model import Access, Artifact, Entry, Launch, Package, Source
from bascule.lock.purl import purl_of
from bascule.storage import advisories as kept
from bascule.storage.store import Store

PACKAGES = 1000
ADVISORIES = 50_000
ADVISORIES_OF_ONE = 5
"""Each package that is locked has as many; half of them are about its version."""
RUNS = 5
_AT_ONCE = 2000
_NPM = "npm"
_MODIFIED = "2026-11-01T00:00:00Z"
_NOW = UnixTime(1_793_577_600)
"""A day on which the advisories are not old."""


class Matching(Struct, frozen=True):
    """One connector with all the packages."""

    ms: float
    """Median, in milliseconds: the state read, advisories parsed, versions compared."""
    packages: int
    advisories: int
    """In the state."""
    matches: int
    """Pairs of package and advisory that were found."""


def matching(
    clock: Callable[[], float],
    folder: Path,
    *,
    packages: int = PACKAGES,
    advisories: int = ADVISORIES,
    runs: int = RUNS,
) -> Matching:
    """Put made-up advisories into a state below `folder`, and match packages with them.

    What puts them there is not measured. `clock` gives seconds. Raises `BasculeError`.
    """
    place = Place(data_directory(folder / "matching"), Server())
    try:
        store = place.open_state()
        _fill(store, advisories)
        entries = {"bench": _entry(packages)}
        times = []
        for _ in range(runs):
            before = clock()
            found = assess_all(store, entries, now=_NOW)
            times.append((clock() - before) * 1000)
    finally:
        place.close()
    matches = len(found["bench"].matches)
    return Matching(statistics.median(times), packages, advisories, matches)


def _fill(store: Store, count: int) -> None:
    """Put as many advisories into the state as an import would, a part at a time."""
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        store.run(partial(kept.put, ecosystem=_NPM, rows=[_row(it) for it in numbers]))
    finish = partial(
        kept.finish, ecosystem=_NPM, newest=_MODIFIED, sha256="0" * 64, now=_NOW
    )
    store.run(finish)


def _row(number: int) -> kept.Row:
    document = msgspec.json.encode(_advisory(number))
    return kept.Row(_NPM, _name(number), f"GHSA-{number:05}", _MODIFIED, document)


def _name(number: int) -> str:
    return f"package-{number // ADVISORIES_OF_ONE}"


def _advisory(number: int) -> dict[str, object]:
    """Make the advisory of that number; every second one is fixed in what is locked."""
    events = [{"introduced": "0"}, {"fixed": "1.2.0" if number % 2 else "1.9.0"}]
    return {
        "id": f"GHSA-{number:05}",
        "modified": _MODIFIED,
        "aliases": [f"CVE-2026-{number:05}"],
        "summary": "Lets through what it should not",
        "affected": [
            {
                "package": {"ecosystem": _NPM, "name": _name(number)},
                "ranges": [{"type": "SEMVER", "events": events}],
            }
        ],
        "database_specific": {"severity": "MODERATE"},
    }


def _entry(packages: int) -> Entry:
    return Entry(
        Source("npm", "package-0"),
        Launch("stdio"),
        Access(),
        packages=tuple(
            Package(purl_of("npm", f"package-{number}", "1.4.2"), Artifact("made-up.tgz"))
            for number in range(packages)
        ),
    )
