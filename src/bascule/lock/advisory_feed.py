"""A feed of advisories as OSV publishes it: a ZIP for each ecosystem, a JSON for each."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bascule.lock.advisories import ECOSYSTEMS, Advisory, normalised, parse_advisory
from bascule.lock.model import LockError

ADVISORY_BYTES = 16 << 20
"""Of one advisory, unpacked: the largest list every version of a large package."""
FEED_BYTES = 16 << 30
"""Of all of them, unpacked: what lies within may not fill the memory or the disk."""
ADVISORIES = 4_000_000


@dataclass(frozen=True, slots=True)
class AboutPackage:
    """One advisory, as far as it is about one package."""

    ecosystem: str
    name: str
    """As `normalised` gives it."""
    id: str
    modified: str
    document: bytes
    """JSON of an `Advisory` that is about nothing else."""


@dataclass(slots=True)
class Progress:
    """What was read so far."""

    read: int = 0
    total: int = 0
    skipped: int = 0
    """Advisories of ecosystems that no lock has."""
    newest: str = ""
    """The latest `modified`: how old the feed is."""


def read_feed(path: Path, progress: Callable[[Progress], None]) -> Iterator[AboutPackage]:
    """Read a ZIP of advisories, one after the other. Raises `LockError`.

    `progress` hears of each. One unreadable advisory spoils the file: what it would have
    said is missing, and nobody would notice.
    """
    so_far = Progress()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [it for it in archive.infolist() if it.filename.endswith(".json")]
            _check_sizes(path, members)
            so_far.total = len(members)
            for member in members:
                try:
                    advisory = parse_advisory(archive.read(member))
                except LockError as exc:
                    raise LockError(f"`{path}`: `{member.filename}` {exc}") from exc
                rows = list(_split(advisory))
                so_far.read += 1
                so_far.skipped += not rows
                so_far.newest = max(so_far.newest, advisory.modified)
                progress(so_far)
                yield from rows
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError) as exc:
        raise LockError(f"`{path}` cannot be read as a ZIP of advisories: {exc}") from exc
    if not so_far.total:
        raise LockError(f"`{path}` holds no advisories: it is to be an `all.zip` of OSV")


def file_digest(path: Path) -> str:
    """Hash a file. Raises `LockError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise LockError(f"cannot read `{path}`: {exc.strerror}") from exc


def _check_sizes(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse a bomb. What a member says of its size, `zipfile` holds it to."""
    if len(members) > ADVISORIES or sum(it.file_size for it in members) > FEED_BYTES:
        raise LockError(f"`{path}` holds more than any feed of advisories")
    for member in members:
        if member.file_size > ADVISORY_BYTES:
            raise LockError(f"`{path}`: `{member.filename}` is too large for an advisory")


def _split(advisory: Advisory) -> Iterator[AboutPackage]:
    """Give an advisory once for each package that it is about."""
    known = ECOSYSTEMS.values()
    names = {
        (ecosystem, normalised(ecosystem, it.package.name))
        for it in advisory.affected
        if (ecosystem := it.package.ecosystem.partition(":")[0]) in known
    }
    for ecosystem, name in sorted(names):
        part = tuple(
            it
            for it in advisory.affected
            if it.package.ecosystem.partition(":")[0] == ecosystem
            and normalised(ecosystem, it.package.name) == name
        )
        document = msgspec.json.encode(msgspec.structs.replace(advisory, affected=part))
        yield AboutPackage(ecosystem, name, advisory.id, advisory.modified, document)
