"""Advisories from a file into the state, and from there to an assessment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from pathlib import Path

from bascule.clock import UnixTime
from bascule.lock.advisories import Advisory, parse_advisory
from bascule.lock.advisory_feed import AboutPackage, Progress, file_digest, read_feed
from bascule.lock.assessment import Assessment, assess, packages_of
from bascule.lock.cooldown import Fixes
from bascule.lock.fixes import fixes_from
from bascule.lock.model import Entry
from bascule.storage import advisories, approvals
from bascule.storage.advisories import Feed, Row
from bascule.storage.store import Store

_ROWS_AT_ONCE = 2000
"""In one transaction: others who write the state wait for as long."""


def import_feed(
    store: Store, path: Path, *, now: UnixTime, progress: Callable[[Progress], None]
) -> list[Feed]:
    """Take in a ZIP of advisories; gives the feeds of the ecosystems that it is about.

    What was taken in before it broke off stays, and counts as not imported. Raises
    `LockError`, `StateUnavailableError`.
    """
    digest = file_digest(path)
    newest: dict[str, str] = {}
    waiting: dict[str, list[AboutPackage]] = {}
    for row in read_feed(path, progress):
        rows = waiting.setdefault(row.ecosystem, [])
        if len(rows) >= _ROWS_AT_ONCE and rows[-1].id != row.id:
            _put(store, row.ecosystem, rows)
            rows.clear()
        rows.append(row)
        newest[row.ecosystem] = max(newest.get(row.ecosystem, ""), row.modified)
    for ecosystem, rows in waiting.items():
        _put(store, ecosystem, rows)
    found = [
        store.run(
            partial(
                advisories.finish,
                ecosystem=ecosystem,
                newest=newest[ecosystem],
                sha256=digest,
                now=now,
            )
        )
        for ecosystem in sorted(newest)
    ]
    # Malware ends what an approval permits: who serves must look again.
    store.run(approvals.note_change)
    return found


def _put(store: Store, ecosystem: str, rows: list[AboutPackage]) -> None:
    kept = [Row(it.ecosystem, it.name, it.id, it.modified, it.document) for it in rows]
    store.run(partial(advisories.put, ecosystem=ecosystem, rows=kept))


def assess_all(
    store: Store, entries: Mapping[str, Entry], *, now: UnixTime
) -> dict[str, Assessment]:
    """Hold entries against all advisories that are known, by connector.

    Raises `StateUnavailableError`.
    """
    about, feeds = about_packages(store, packages_of(entries.values()))
    newest = {it.ecosystem: it.newest for it in feeds}
    return {name: assess(it, about, newest, now=now) for name, it in entries.items()}


def about_packages(
    store: Store, packages: Collection[tuple[str, str]]
) -> tuple[dict[tuple[str, str], list[Advisory]], list[Feed]]:
    """Give what was imported about packages (ecosystem and name), and what it is from.

    Raises `StateUnavailableError`.
    """
    rows, feeds = store.read(partial(advisories.about, packages=packages))
    about: dict[tuple[str, str], list[Advisory]] = {}
    for row in rows:
        known = about.setdefault((row.ecosystem, row.name), [])
        known.append(parse_advisory(row.document))
    return about, feeds


def known_fixes(store: Store) -> Fixes:
    """Give which versions fix what was imported. It raises `StateUnavailableError`."""

    @cache
    def of_package(ecosystem: str, name: str) -> list[Advisory]:
        wanted = partial(advisories.about, packages={(ecosystem, name)})
        rows, _ = store.read(wanted)
        return [parse_advisory(row.document) for row in rows]

    return fixes_from(lambda it: of_package(it.ecosystem, it.name))
