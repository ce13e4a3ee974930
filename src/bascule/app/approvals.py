"""Approvals as they stand: the ledger, with what is new in the files let in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from bascule.app.approval_files import APPROVERS, ApprovalFiles, files_beside
from bascule.app.approver_set import (
    ApproverSet,
    FoundSet,
    found_set,
    keep_set,
    pin_first,
    set_in_force,
)
from bascule.app.place import Place
from bascule.app.state import record_admin
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.lock.admission import Admission, Circumstances, admit
from bascule.lock.approvals import Verdict, judge
from bascule.lock.ledger import Ledger
from bascule.lock.model import Entry, LockFile, entry_digest
from bascule.storage import approvals
from bascule.storage.approvals import Recorded
from bascule.storage.store import Transaction


@dataclass(frozen=True, slots=True)
class Found:
    """All that the files say, read once."""

    approvers: FoundSet
    changes: Mapping[str, bytes]
    """Statements for changes of the approvers, by file."""
    statements: Mapping[str, Mapping[str, bytes]]
    """Statements about each connector of configuration and lock, by file."""
    entries: Mapping[str, Entry]
    """Of the lock."""
    files: ApprovalFiles


@dataclass(frozen=True, slots=True)
class Picture:
    """What counts at one moment."""

    approvers: ApproverSet
    admissions: Mapping[str, Admission]
    """By connector."""

    @property
    def fresh(self) -> list[tuple[str, Recorded]]:
        """What is not yet recorded, by connector."""
        return [(name, it) for name, its in self.admissions.items() for it in its.fresh]

    @property
    def has_news(self) -> bool:
        """Tell whether something is to be recorded."""
        return bool(self.fresh or self.approvers.fresh_votes or self.approvers.fresh_sets)


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdict on each connector of the lock."""

    verdicts: Mapping[str, Verdict]
    approvers: ApproverSet
    generation: int
    """Of approvals: another one means that something has changed since."""


def standing(
    place: Place, config_path: Path, config: Config, lock: LockFile, *, now: UnixTime
) -> Standing:
    """Judge every entry of the lock, after new statements in the files were let in.

    What is let in is recorded in the log before. Blocks for as long as files and database
    take. Raises `BasculeError`.
    """
    generation = place.open_state().read(approvals.generation)
    found = read_found(place, config_path, config, lock)
    picture = take_in(place, found, now=now)
    judged = verdicts(picture, found.entries, now=now)
    return Standing(judged, picture.approvers, generation)


def take_in(place: Place, found: Found, *, now: UnixTime) -> Picture:
    """Let in what the files bring; gives what counts. Raises `BasculeError`."""
    store = place.open_state()
    picture = store.read(partial(look, found=found, now=now))
    if picture.has_news:
        record_news(place, picture, {"from": "files"})
        picture = store.run(partial(settle, found=found, now=now))
        place.note_change()
    return picture


def verdicts(
    picture: Picture, entries: Mapping[str, Entry], *, now: UnixTime
) -> dict[str, Verdict]:
    """Judge entries by what counts."""
    trusted = picture.approvers.trusted
    return {
        name: judge(
            name,
            entry,
            picture.admissions[name].refused,
            trusted,
            picture.admissions[name].ledger,
            now=now,
        )
        for name, entry in entries.items()
    }


def read_found(place: Place, config_path: Path, config: Config, lock: LockFile) -> Found:
    """Read what the files say. Raises `BasculeError`."""
    files = files_beside(config_path)
    names = sorted({*lock.connectors, *config.connectors})
    return Found(
        approvers=found_set(config_path, config.approvals, place.keys),
        changes=files.envelopes(APPROVERS),
        statements={name: files.envelopes(name) for name in names},
        entries=lock.connectors,
        files=files,
    )


def look(conn: Transaction, *, found: Found, now: UnixTime) -> Picture:
    """See what counts, with what the files bring; changes nothing."""
    approvers = set_in_force(conn, found.approvers, found.changes, now=now)
    return Picture(
        approvers,
        {name: _admission(conn, name, found, approvers, now) for name in found.statements},
    )


def _admission(
    conn: Transaction, name: str, found: Found, approvers: ApproverSet, now: UnixTime
) -> Admission:
    ledger = Ledger(approvals.of(conn, name), approvals.authors(conn, name))
    owner = partial(_owner, conn, found, name)
    by = Circumstances(name, approvers.trusted, owner, now)
    return admit(found.statements[name], ledger, by)


def _owner(conn: Transaction, found: Found, name: str, digest: str) -> str:
    """Say who answers for a connector, as an entry says; empty when nobody knows it."""
    entry = found.entries.get(name)
    if entry is not None and entry_digest(entry) == digest:
        return entry.access.owner
    content = approvals.document(conn, digest) or found.files.document(digest)
    try:
        return msgspec.json.decode(content or b"", type=Entry).access.owner
    except msgspec.DecodeError:
        return ""


def settle(conn: Transaction, *, found: Found, now: UnixTime) -> Picture:
    """Record what the files bring, in one transaction with the look at it."""
    picture = look(conn, found=found, now=now)
    keep_set(conn, picture.approvers, now=now)
    if picture.fresh and not picture.approvers.pinned:
        pin_first(conn, picture.approvers, now=now)
    for name, fresh in picture.fresh:
        approvals.add(conn, name, fresh)
        content = found.files.document(fresh.entry_digest)
        if content is not None:
            approvals.keep_document(conn, fresh.entry_digest, content)
    return picture


def record_news(place: Place, picture: Picture, more: Mapping[str, str]) -> None:
    """Write into the log what is about to be recorded. Raises `LogUnavailableError`.

    `more` is said of each of them: by whom or from where it comes.
    """
    for name, fresh in picture.fresh:
        admin = {
            "approver": fresh.approver,
            "entry": fresh.entry_digest,
            "sequence": str(fresh.sequence),
            "statement": fresh.digest,
            **more,
        }
        kind = f"approval.{fresh.decision}"
        record_admin(place, kind, admin, user=None, agent=None, connector=name)
    for digest, vote in picture.approvers.fresh_votes.items():
        change = {
            "approver": vote.change.approver,
            "number": str(vote.change.number),
            "set": vote.after,
            "statement": digest,
        }
        _record_approvers(place, {**change, **more})
    if picture.fresh and not picture.approvers.pinned:
        first = picture.approvers.trusted.digest
        _record_approvers(place, {"set": first, "pinned": "with the first use", **more})


def _record_approvers(place: Place, admin: dict[str, str]) -> None:
    kind = "approval.approvers"
    record_admin(place, kind, admin, user=None, agent=None, connector=None)
