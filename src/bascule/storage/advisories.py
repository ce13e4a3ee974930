"""Advisories that were imported, one row for each package that one is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, delete, func, insert, select

from bascule.clock import UnixTime
from bascule.storage.schema import advisories, advisory_feeds

T = TypeVar("T")

_AT_ONCE = 500
"""Values in one statement; SQLite takes 999 in its oldest versions."""


@dataclass(frozen=True, slots=True)
class Row:
    """An advisory, as far as it is about one package."""

    ecosystem: str
    name: str
    id: str
    modified: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Feed:
    """What was imported for one ecosystem."""

    ecosystem: str
    newest: str
    """`modified` of its latest advisory: how old the feed is."""
    advisories: int
    """How many are known."""
    sha256: str
    """Of the file that was imported last."""
    imported_at: UnixTime


def put(conn: Connection, ecosystem: str, rows: Sequence[Row]) -> int:
    """Keep what is newer than what is known; gives how many rows that were.

    All rows that a feed has of one advisory belong into one call: what an advisory was
    about and no longer is, goes.
    """
    known: dict[str, str] = {}
    for ids in _parts({it.id for it in rows}):
        of_them = (advisories.c.ecosystem == ecosystem) & advisories.c.id.in_(ids)
        found = select(advisories.c.id, advisories.c.modified).where(of_them)
        known.update((row.id, row.modified) for row in conn.execute(found))
    newer = [it for it in rows if it.modified > known.get(it.id, "")]
    for ids in _parts({it.id for it in newer} & known.keys()):
        of_them = (advisories.c.ecosystem == ecosystem) & advisories.c.id.in_(ids)
        conn.execute(delete(advisories).where(of_them))
    if newer:
        values = [
            {
                "ecosystem": it.ecosystem,
                "name": it.name,
                "id": it.id,
                "modified": it.modified,
                "document": it.document,
            }
            for it in newer
        ]
        conn.execute(insert(advisories), values)
    return len(newer)


def finish(
    conn: Connection, ecosystem: str, *, newest: str, sha256: str, now: UnixTime
) -> Feed:
    """Note that a feed was read to its end: only then does it count as imported.

    An older feed makes nothing older.
    """
    of_it = advisory_feeds.c.ecosystem == ecosystem
    before = conn.execute(select(advisory_feeds.c.newest).where(of_it)).scalar() or ""
    count = select(func.count(func.distinct(advisories.c.id)))
    known = conn.execute(count.where(advisories.c.ecosystem == ecosystem)).scalar() or 0
    feed = Feed(ecosystem, max(before, newest), known, sha256, now)
    conn.execute(delete(advisory_feeds).where(of_it))
    conn.execute(
        insert(advisory_feeds).values(
            ecosystem=ecosystem,
            newest=feed.newest,
            advisories=known,
            sha256=sha256,
            imported_at=now,
        )
    )
    return feed


def feeds(conn: Connection) -> list[Feed]:
    """Give what was imported, by ecosystem."""
    query = select(advisory_feeds).order_by(advisory_feeds.c.ecosystem)
    return [
        Feed(
            row.ecosystem, row.newest, row.advisories, row.sha256, UnixTime(row.imported_at)
        )
        for row in conn.execute(query)
    ]


def about(
    conn: Connection, packages: Collection[tuple[str, str]]
) -> tuple[list[Row], list[Feed]]:
    """Give all advisories about packages (ecosystem and name), and what they are from."""
    found: list[Row] = []
    for ecosystem in sorted({ecosystem for ecosystem, _ in packages}):
        for names in _parts({name for it, name in packages if it == ecosystem}):
            query = select(advisories).where(
                advisories.c.ecosystem == ecosystem, advisories.c.name.in_(names)
            )
            found += [
                Row(row.ecosystem, row.name, row.id, row.modified, row.document)
                for row in conn.execute(query)
            ]
    return found, feeds(conn)


def _parts(values: set[T]) -> Iterator[list[T]]:
    whole = list(values)
    for start in range(0, len(whole), _AT_ONCE):
        yield whole[start : start + _AT_ONCE]
