"""The two sides of a comparison: found by their names, with what is known of the newer."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from bascule.app import proposals
from bascule.app.advisories import assess_all
from bascule.app.approvals import Found, Picture, look, read_found, verdicts
from bascule.app.lock_place import LockPlace
from bascule.app.place import Place
from bascule.app.reviews import read_audits
from bascule.app.surfaces import capture_surface
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.lock.approvals import Verdict
from bascule.lock.assessment import Assessment, Match
from bascule.lock.diff import EntryDiff, Side, compare_entries
from bascule.lock.ledger import DENIES
from bascule.lock.lock_file import read_lock
from bascule.lock.model import Entry, LockError, entry_digest
from bascule.lock.reviews import ReviewCount, assess_audits, count_reviews
from bascule.lock.surface import Document, document_digest, parse_document, read_document
from bascule.scan.text.served import Judged, judged, of_document
from bascule.storage import approvals

APPROVED = "approved"
LOCKED = "locked"
PROPOSED = "proposed"
SERVED = "served"
NOTHING = "nothing"
"""Against this all is shown."""
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries of one connector, and what is known of the second."""

    before: Side
    after: Side
    diff: EntryDiff
    introduced: tuple[Match, ...]
    """Advisories that the first is not subject to."""
    fixed: tuple[Match, ...]
    assessment: Assessment | None
    """Of the second; None without an entry."""
    verdict: Verdict | None
    """On the second."""
    reviews: tuple[ReviewCount, ...] = ()
    """Of the packages of the second, a count for each criterion of `audits.toml`."""
    texts: tuple[Judged, ...] = ()
    """What definitions of the second say that somebody should look at."""
    known_texts: frozenset[str] = frozenset()
    """Ids of those that the first has too, word for word."""


class Entries:
    """All entries of one connector that can be named, and their surfaces."""

    def __init__(
        self, place: Place, config_path: Path, config: Config, name: str, *, now: UnixTime
    ) -> None:
        """Read what there is; changes nothing. Raises `BasculeError`."""
        self._name = name
        self._now = now
        self._folder = config_path.parent
        self._store = place.open_state()
        lock = read_lock(self._folder)
        self._locked = lock.connectors.get(name)
        self._found: Found = read_found(place, config_path, config, lock)
        self._picture: Picture = self._store.read(partial(look, found=self._found, now=now))
        if self._locked is None and name not in self._picture.admissions:
            raise BasculeError(f"there is no connector `{name}` in configuration or lock")

    def side(self, which: str) -> Side:
        """Find an entry: `approved`, `locked`, `proposed`, `nothing`, or by its digest.

        `approved` is the one that was approved last, whether or not that still counts; an
        empty side where none was. Raises `BasculeError`.
        """
        if which == LOCKED:
            if self._locked is None:
                hint = f"run `bascule lock {self._name}`"
                raise BasculeError(f"the lock has no entry of `{self._name}`: {hint}")
            return self._side(self._locked)
        if which == APPROVED:
            return self._approved()
        if which == PROPOSED:
            return self._proposed()
        if which == NOTHING:
            return Side(None)
        return self._side(self._entry(self._whole(which)))

    def served(self, place: LockPlace) -> Side:
        """Ask the locked server what it serves now: its entry with that surface.

        Runs it, or calls its URL; with what it is declared to have only when it is approved
        now, or when `place` says so. Raises `BasculeError`.
        """
        entry = self.side(LOCKED).entry
        assert entry is not None  # noqa: S101 - or it would have raised
        judged = verdicts(self._picture, {self._name: entry}, now=self._now)
        approved = judged[self._name].state == "approved"
        trusted = approved or place.with_access
        captured = asyncio.run(capture_surface(place, self._name, entry, trusted=trusted))
        now = msgspec.structs.replace(entry, surface=captured.pins)
        return Side(now, captured.document)

    def compare(self, before: Side, after: Side) -> Comparison:
        """Compare two of them."""
        old, new = self._assessed(before), self._assessed(after)
        judged: Mapping[str, Verdict] = {}
        if after.entry is not None and self._name in self._picture.admissions:
            judged = verdicts(self._picture, {self._name: after.entry}, now=self._now)
        return Comparison(
            before,
            after,
            compare_entries(before, after),
            _without(new, old),
            _without(old, new),
            new,
            judged.get(self._name),
            self._reviews(before, after),
            _texts(after),
            frozenset(it.id for it in _texts(before)),
        )

    def _reviews(self, before: Side, after: Side) -> tuple[ReviewCount, ...]:
        if after.entry is None:
            return ()
        audits = read_audits(self._folder)
        reviewed = assess_audits(after.entry, audits, now=self._now)
        known = () if before.entry is None else before.entry.packages
        return tuple(count_reviews(reviewed, known))

    def _assessed(self, side: Side) -> Assessment | None:
        if side.entry is None:
            return None
        entries = {self._name: side.entry}
        return assess_all(self._store, entries, now=self._now)[self._name]

    def _approved(self) -> Side:
        admission = self._picture.admissions.get(self._name)
        recorded = () if admission is None else admission.ledger.recorded
        for it in reversed(recorded):
            if it.completes and it.decision not in DENIES:
                return self._side(self._entry(it.entry_digest))
        return Side(None)

    def _proposed(self) -> Side:
        entry = proposals.proposed(self._folder, self._name)
        if entry is None:
            hint = f"run `bascule update {self._name}`"
            raise BasculeError(f"nothing is proposed for `{self._name}`: {hint}")
        if entry.surface is None:
            return Side(entry)
        folder = proposals.folder_of(self._folder, self._name)
        return Side(entry, read_document(folder, self._name, entry.surface))

    def _whole(self, start: str) -> str:
        """Complete the beginning of a digest."""
        if not _DIGEST.fullmatch(start):
            raise BasculeError(
                f"`{start[:80]!a}` names no entry: that is `{APPROVED}`, `{LOCKED}`, "
                f"`{PROPOSED}`, `{SERVED}`, or at least six digits of a digest"
            )
        admission = self._picture.admissions.get(self._name)
        recorded = () if admission is None else admission.ledger.recorded
        known = {it.entry_digest for it in recorded}
        if self._locked is not None:
            known.add(entry_digest(self._locked))
        matching = sorted(it for it in known if it.startswith(start))
        if len(matching) != 1:
            what = "no entry" if not matching else f"{len(matching)} entries"
            raise BasculeError(f"`{start}` is the beginning of {what} of `{self._name}`")
        return matching[0]

    def _entry(self, digest: str) -> Entry:
        if self._locked is not None and entry_digest(self._locked) == digest:
            return self._locked
        try:
            entry = msgspec.json.decode(self._kept(digest), type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise BasculeError(f"what was kept of entry {digest} is no entry") from exc
        if entry_digest(entry) != digest:
            raise BasculeError(f"what was kept of entry {digest} is another one")
        return entry

    def _side(self, entry: Entry) -> Side:
        return Side(entry, None if entry.surface is None else self._document(entry))

    def _document(self, entry: Entry) -> Document | None:
        """Find the surface of an entry; None where nobody has it any more."""
        assert entry.surface is not None  # noqa: S101 - asked before
        try:
            return read_document(self._folder, self._name, entry.surface)
        except LockError:
            pass
        try:
            document = parse_document(self._kept(entry.surface.set))
        except BasculeError:
            return None
        return document if document_digest(document) == entry.surface.set else None

    def _kept(self, digest: str) -> bytes:
        """Read what was kept when it was approved. Raises `BasculeError`."""
        read = partial(approvals.document, digest=digest)
        content = self._store.read(read) or self._found.files.document(digest)
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            raise BasculeError(
                f"entry {digest} is known by its digest alone, `approvals/documents/` has "
                f"not kept it: `bascule diff {self._name} {NOTHING}..{LOCKED}` shows all"
            )
        return content


def _texts(side: Side) -> tuple[Judged, ...]:
    return () if side.document is None else judged(of_document(side.document))


def _without(some: Assessment | None, others: Assessment | None) -> tuple[Match, ...]:
    known = {it for match in _matches(others) for it in match.ids}
    return tuple(it for it in _matches(some) if known.isdisjoint(it.ids))


def _matches(assessment: Assessment | None) -> Iterable[Match]:
    return () if assessment is None else assessment.matches
