"""Whether a connector is what was locked: its files, interpreter and settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from bascule.app.lock_place import LockPlace
from bascule.config.model import Mode
from bascule.lock.approvals import Verdict
from bascule.lock.assessment import Assessment
from bascule.lock.declared import Drift, differences
from bascule.lock.lock_file import read_native
from bascule.lock.model import Build, Entry, LockError, Runtime
from bascule.lock.purl import told
from bascule.lock.runtime import find_runtime, platform_name
from bascule.lock.store import DriftedTreeError
from bascule.lock.surface import read_document

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one connector."""

    connector: str
    approved: bool
    approval: str
    """Why not, or who approved it."""
    drift: list[Drift] = field(default_factory=list)
    not_assessed: list[str] = field(default_factory=list)
    """What nobody could know; never makes it false."""

    @property
    def ok(self) -> bool:
        """Approved, and nothing drifted."""
        return self.approved and not self.drift


def verify(
    place: LockPlace,
    name: str,
    entry: Entry | None,
    verdict: Verdict | None,
    assessment: Assessment | None,
) -> Verified:
    """Hold a connector against its entry; always hashes every file.

    Raises `LockError` for a connector that is not configured.
    """
    if name not in place.config.connectors:
        raise LockError(f"connector `{name}` is not configured: `bascule add {name}`")
    if entry is None:
        missing = Drift("lock", f"an entry: `bascule lock {name}`", NOTHING)
        return Verified(name, False, "it is not locked", [missing])
    approved = verdict is not None and verdict.state == "approved"
    return Verified(
        name,
        approved,
        "" if verdict is None else verdict.reason or ", ".join(verdict.approvers),
        [*drift_of(place, name, entry), *_malware(assessment)],
        [
            *_lenient(place.config.connectors[name].mode),
            *_not_assessed(entry, assessment),
        ],
    )


def drift_of(place: LockPlace, name: str, entry: Entry) -> list[Drift]:
    """Give all in which a connector is not as it was locked."""
    found = differences(name, place.config, entry)
    found += _files_beside(place, name, entry)
    if entry.builds or entry.source.kind not in {"http", "oci"}:
        build = entry.builds.get(platform_name())
        if build is None:
            found.append(Drift("tree", f"one for {platform_name()}", NOTHING))
        else:
            found += _drift_of_build(place, build)
    return found


def _files_beside(place: LockPlace, name: str, entry: Entry) -> Iterator[Drift]:
    """Tell of the native lock and the definitions, which the entry has by their digests."""
    if entry.native_lock is not None:
        try:
            read_native(place.folder, name, entry.native_lock)
        except LockError as exc:
            yield Drift("packages.native_lock", entry.native_lock.sha256, str(exc))
    if entry.surface is not None:
        try:
            read_document(place.folder, name, entry.surface)
        except LockError as exc:
            yield Drift("surface.document", entry.surface.set, str(exc))


def _drift_of_build(place: LockPlace, build: Build) -> Iterator[Drift]:
    runtime = build.runtime
    if runtime.kind != "none":
        try:
            found = find_runtime(runtime.kind, place.environment, like=runtime).runtime
        except LockError as exc:
            yield Drift("runtime", _shown(runtime), str(exc))
        else:
            if found != runtime:
                yield Drift("runtime", _shown(runtime), _shown(found))
    try:
        place.store.verify(build.tree)
    except DriftedTreeError as exc:
        yield Drift("tree", build.tree.sha256, f"{exc.found or NOTHING}: {exc}")
    except LockError as exc:
        yield Drift("tree", build.tree.sha256, str(exc))


def _shown(runtime: Runtime) -> str:
    return msgspec.json.encode(runtime).decode()


def _malware(assessment: Assessment | None) -> Iterator[Drift]:
    for match in () if assessment is None else assessment.matches:
        if match.malware:
            have = f"{told(match.purl)} is malware: {', '.join(match.ids)}"
            yield Drift("packages.advisories", "none that is malware", have)


def _lenient(mode: Mode | None) -> Iterator[str]:
    """Say that what is found here keeps nothing from being served."""
    if mode not in {None, "enforce"}:
        yield f"mode {mode}: nothing is refused"


def _not_assessed(entry: Entry, assessment: Assessment | None) -> Iterator[str]:
    if entry.source.kind == "http":
        yield "a remote server: what it does with a call cannot be verified"
        return
    if assessment is None:
        yield "advisories: the state could not be read"
    else:
        yield from (f"advisories: {it}" for it in assessment.not_assessed)
    unknown = [it for it in entry.packages if it.provenance.status == "unavailable"]
    if unknown:
        yield f"provenance of {len(unknown)} packages: the registry serves none"
    others = sorted(set(entry.builds) - {platform_name()})
    if others:
        yield f"the trees for {', '.join(others)}: this is {platform_name()}"
