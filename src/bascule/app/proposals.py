"""Newer entries that wait for an approval while the old ones stay in the lock file.

A proposal is a folder `locks/NAME/proposed/` that is laid out like the configuration's own:
a lock file with one entry, and what that refers to. It can be reviewed as any other change.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bascule.app.lock_place import LockPlace
from bascule.app.locking import Draft, draft
from bascule.errors import BasculeError
from bascule.lock.lock_file import (
    LOCK_NAME,
    below,
    change_lock,
    native_name,
    read_lock,
    read_native,
    refuse_no_name,
    with_entry,
)
from bascule.lock.model import Entry, LockError, entry_digest
from bascule.lock.surface import document_name, format_document, read_document
from bascule.lock.watch import News, of_provenance


class ProvenanceLostError(BasculeError):
    """A newer version was built by somebody else, or nobody can say any more by whom."""


def folder_of(folder: Path, name: str) -> Path:
    """Give where a connector's proposal lies; `folder` is the configuration's.

    Raises `LockError` when a link would lead it elsewhere: what lies there is removed.
    """
    return below(folder, f"locks/{refuse_no_name(name)}/proposed/{LOCK_NAME}").parent


def proposed(folder: Path, name: str) -> Entry | None:
    """Read the entry that is proposed; None without one. Raises `LockError`."""
    return read_lock(folder_of(folder, name)).connectors.get(name)


def propose(place: LockPlace, name: str, *, any_builder: bool = False) -> Draft | None:
    """Resolve a connector anew and write down what came of it, beside the lock.

    None when that is what is locked already; an older proposal is then gone. Raises
    `ProvenanceLostError` unless `any_builder`, and `LockError`.
    """
    locked = read_lock(place.folder).connectors.get(name)
    if locked is None:
        raise LockError(f"connector `{name}` is not locked: run `bascule lock {name}`")
    made = draft(place, name, anew=True)
    lost = [it for it in of_provenance(name, locked, made.entry) if it.state == "found"]
    if lost and not any_builder:
        raise ProvenanceLostError(_told(lost))
    withdraw(place.folder, name)
    if entry_digest(made.entry) == entry_digest(locked):
        return None
    folder = folder_of(place.folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    change_lock(folder, lambda lock: with_entry(lock, name, made.entry), beside=made.beside)
    return made


def accept(folder: Path, name: str) -> Entry:
    """Put a proposal into the lock file, in the place of the old entry.

    Killed on the way, it leaves the old entry or the new one whole. Raises `LockError`.
    """
    entry = proposed(folder, name)
    if entry is None:
        raise LockError(f"nothing is proposed for `{name}`: run `bascule update {name}`")
    beside = _files_beside(folder_of(folder, name), name, entry)
    change_lock(folder, lambda lock: with_entry(lock, name, entry), beside=beside)
    withdraw(folder, name)
    return entry


def withdraw(folder: Path, name: str) -> None:
    """Remove a proposal, if there is one. Raises `LockError`."""
    place = folder_of(folder, name)
    if not place.exists():
        return
    try:
        shutil.rmtree(place)
    except OSError as exc:
        raise LockError(f"cannot remove `{place}`: {exc.strerror}") from exc


def _files_beside(folder: Path, name: str, entry: Entry) -> dict[str, bytes]:
    """Read what an entry refers to, each file checked against its digest."""
    files: dict[str, bytes] = {}
    if entry.native_lock is not None:
        text = read_native(folder, name, entry.native_lock)
        files[native_name(name, entry.native_lock.format)] = text.encode()
    if entry.surface is not None:
        document = read_document(folder, name, entry.surface)
        files[document_name(name)] = format_document(document)
    return files


def _told(lost: list[News]) -> str:
    what = "; ".join(it.detail for it in lost)
    return f"{what}: find out why, then `bascule update --any-builder`"
