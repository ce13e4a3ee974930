"""Looking for what has come up since connectors were approved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from bascule.app.advisories import assess_all
from bascule.app.approvals import standing
from bascule.app.lock_place import LockPlace
from bascule.app.locking import WITHOUT_TREE, resolved
from bascule.app.place import Place
from bascule.errors import BasculeError
from bascule.lock.approvals import Verdict
from bascule.lock.launcher import parse_command
from bascule.lock.lock_file import entries_of, read_lock
from bascule.lock.model import Entry
from bascule.lock.watch import (
    News,
    of_advisories,
    of_approval,
    of_bridge,
    of_provenance,
    of_versions,
)

NO_REGISTRY = "no registry was asked"


def look(
    place: Place,
    lock_place: LockPlace,
    config_path: Path,
    names: Collection[str] = (),
    *,
    ask_registries: bool,
) -> list[News]:
    """Look at locked connectors, all for no names: advisories, approvals, registries.

    Raises `LockError` when nothing is locked, and what reading the state raises.
    """
    lock = read_lock(lock_place.folder)
    entries = entries_of(lock, names)
    now = lock_place.now
    assessed = assess_all(place.open_state(), entries, now=now)
    verdicts = standing(place, config_path, lock_place.config, lock, now=now).verdicts
    found: list[News] = []
    for name, entry in entries.items():
        found += of_advisories(name, assessed[name])
        found += of_bridge(name, entry)
        missing = Verdict("missing", "is not approved")
        found.append(of_approval(name, verdicts.get(name, missing), now=now))
        found += _of_registry(lock_place, name, entry, ask=ask_registries)
    return found


def _of_registry(place: LockPlace, name: str, entry: Entry, *, ask: bool) -> Iterator[News]:
    if entry.source.kind in WITHOUT_TREE or not entry.packages:
        return
    if not ask:
        yield of_versions(name, entry, None, NO_REGISTRY)
        return
    place.progress(f"{name}: asking the registry")
    try:
        newest = resolved(place, parse_command(entry.launch.command))
    except BasculeError as exc:
        yield of_versions(name, entry, None, str(exc))
        return
    after = msgspec.structs.replace(entry, packages=newest.packages)
    yield of_versions(name, entry, after, "")
    yield from of_provenance(name, entry, after)
