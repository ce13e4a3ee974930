"""Locking a connector: from what the configuration asks for to what can be approved.

Resolve, install, capture; then the entry stands in the lock file, whole or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from bascule.app.lock_place import LockPlace
from bascule.app.surfaces import capture_surface, withheld
from bascule.app.ungranted import ungranted
from bascule.lock import bridges
from bascule.lock.capture import CapturedSurface
from bascule.lock.declared import access_of, launch_of, sandbox_of
from bascule.lock.install import (
    Installed,
    Order,
    install,
    installed_already,
    kind_of_runtime,
)
from bascule.lock.launcher import Asked, parse_command, parse_url
from bascule.lock.lock_file import (
    change_lock,
    native_lock,
    native_name,
    read_lock,
    read_native,
    with_entry,
)
from bascule.lock.model import Build, Entry, LockError, LockFile
from bascule.lock.resolve import Resolution, resolve
from bascule.lock.runtime import find_runtime, platform_name
from bascule.lock.surface import document_name, format_document
from bascule.lock.view import CaptureError
from bascule.scan.text.served import judged, of_document

NOT_RUN = frozenset(("oci",))
"""Kinds of sources that are recorded: Bascule has nothing to run them with."""
WITHOUT_TREE = NOT_RUN | {"http"}


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that does not stand in the lock file yet."""

    connector: str
    entry: Entry
    beside: Mapping[str, bytes]
    """Files that it refers to, by their path below the configuration's folder."""
    warnings: tuple[str, ...]
    """What a reviewer has to know."""


def draft(
    place: LockPlace,
    name: str,
    *,
    anew: bool = False,
    scripts: Sequence[str] | None = None,
) -> Draft:
    """Make the entry of a connector; its packages stay as locked unless `anew`.

    `scripts` are purls whose install scripts are run, in a sandbox, in place of those that
    were allowed before. Nothing changes but the store. A server that cannot be captured has
    an entry without a surface, which cannot be approved; the warnings say why. Raises
    `LockError`.
    """
    connector = place.config.connectors.get(name)
    if connector is None:
        raise LockError(f"connector `{name}` is not configured: `bascule add {name}`")
    asked = (
        parse_url(connector.url)
        if connector.url is not None
        else parse_command(connector.command or ())
    )
    before = read_lock(place.folder).connectors.get(name)
    kept = None if anew or before is None else _kept(place, name, asked, before)
    resolution = kept or resolved(place, asked)
    earlier = () if before is None else before.scripts_allowed
    allowed = earlier if scripts is None else tuple(sorted(set(scripts)))
    entry = Entry(
        resolution.asked.source,
        launch_of(connector),
        access_of(name, place.config, ()),
        kind=bridges.kind_of(resolution.root),
        root=resolution.root,
        packages=resolution.packages,
        sandbox=sandbox_of(name, place.config),
        scripts_allowed=allowed,
        findings=() if before is None else before.findings,
    )
    beside: dict[str, bytes] = {}
    warnings = resolution.warnings
    if resolution.native_lock is not None and resolution.native_format is not None:
        native = native_lock(resolution.native_lock, resolution.native_format)
        entry = msgspec.structs.replace(entry, native_lock=native)
        path = native_name(name, resolution.native_format)
        beside[path] = resolution.native_lock.encode()
    if asked.source.kind not in WITHOUT_TREE:
        same = before is not None and allowed == earlier
        build = before.builds.get(platform_name()) if before and same else None
        installed = _installed(place, entry, resolution, build)
        entry = _built(entry, installed)
        warnings = (*warnings, *installed.notes)
    told = (bridges.warning(entry),) if entry.kind == "bridge" else ()
    warnings = (*told, *warnings, *ungranted(name, entry))
    return _captured(place, name, entry, before, beside, warnings)


def write(place: LockPlace, drafts: Sequence[Draft]) -> LockFile:
    """Put entries into the lock file, with all that they refer to. Raises `LockError`."""

    def change(lock: LockFile) -> LockFile:
        for it in drafts:
            lock = with_entry(lock, it.connector, it.entry)
        return lock

    beside = {name: data for it in drafts for name, data in it.beside.items()}
    return change_lock(place.folder, change, beside=beside)


def _installed(
    place: LockPlace, entry: Entry, resolution: Resolution, before: Build | None
) -> Installed:
    """Make the tree of an entry in the store, unless it is there. Raises `LockError`."""
    runtime = find_runtime(
        kind_of_runtime(resolution.asked, place.folder),
        place.environment,
        like=None if before is None else before.runtime,
        cache=place.runtimes,
    )
    order = Order(
        asked=resolution.asked,
        root=resolution.root,
        packages=resolution.packages,
        native_lock=resolution.native_lock or "",
        scripts_allowed=entry.scripts_allowed,
        base=place.folder,
    )
    if before is not None:
        there = installed_already(order, place.store, before, runtime)
        if there is not None:
            return there
    place.progress(f"{resolution.asked.source.spec}: installing")
    return install(
        order,
        place.store,
        runtime,
        environment=place.environment,
        artifacts=place.artifacts,
    )


def resolved(place: LockPlace, asked: Asked) -> Resolution:
    """Ask the registries for what a command runs. Raises `LockError`."""
    python = "python3"
    if asked.source.kind == "pypi":
        python = str(find_runtime("python", place.environment, cache=place.runtimes).path)
    return resolve(
        asked,
        folder=place.folder,
        now=place.now,
        cooldown=place.cooldown,
        environment=place.environment,
        python=python,
        fixes=place.fixes,
        own_names=place.config.locking.own_names,
        progress=place.progress,
    )


def _kept(place: LockPlace, name: str, asked: Asked, before: Entry) -> Resolution | None:
    """Give the packages that are locked; None where another program is asked for."""
    if before.launch.transport != "stdio" or asked.source.kind in WITHOUT_TREE:
        return None
    then = parse_command(before.launch.command)
    if _program(then) != _program(asked) or before.native_lock is None:
        return None
    return Resolution(
        asked=replace(asked, source=before.source),
        root=before.root,
        packages=before.packages,
        native_lock=read_native(place.folder, name, before.native_lock),
        native_format=before.native_lock.format,
        warnings=asked.notes,
    )


def _program(asked: Asked) -> tuple[object, ...]:
    source = asked.source
    return (source.kind, source.spec, source.requested, asked.entry, asked.extra)


def _built(entry: Entry, installed: Installed) -> Entry:
    build = Build(installed.runtime, installed.tree)
    return msgspec.structs.replace(
        entry,
        launch=msgspec.structs.replace(entry.launch, argv=installed.argv),
        packages=installed.packages,
        builds={platform_name(): build},
    )


def _captured(
    place: LockPlace,
    name: str,
    entry: Entry,
    before: Entry | None,
    beside: dict[str, bytes],
    warnings: tuple[str, ...],
) -> Draft:
    """Ask the server what it serves, and put that into the entry."""
    if entry.source.kind in NOT_RUN:
        told = "its image is recorded and cannot be run: nothing of it can be approved"
        return Draft(name, entry, beside, (*warnings, told))
    place.progress(f"{name}: asking what it serves")
    unchanged = before is not None and before == _as_before(place, name, entry, before)
    trusted = place.with_access or (unchanged and name in place.approved)
    missing = [] if trusted else withheld(place.config.connectors[name])
    if missing:
        told = (
            f"asked without {', '.join(missing)}, since nobody approved it: `bascule lock "
            f"{name} --with-access` gives it that"
        )
        warnings = (*warnings, told)
    try:
        captured = asyncio.run(capture_surface(place, name, entry, trusted=trusted))
    except CaptureError as exc:
        option = " --with-access" if missing else ""
        told = (
            f"what it serves is not known: {exc}. When that is mended: `bascule lock "
            f"{name}{option}`"
        )
        if before is not None and before.surface is not None and unchanged:
            told = f"{told}. Nothing else has changed: it stays locked as it was"
            entry = before
        return Draft(name, entry, beside, (*warnings, told))
    beside[document_name(name)] = format_document(captured.document)
    entry = msgspec.structs.replace(
        entry,
        surface=captured.pins,
        access=access_of(name, place.config, captured.pins.tools),
    )
    texts = (it.told() for it in judged(of_document(captured.document)))
    return Draft(name, entry, beside, (*warnings, *_refused(captured), *texts))


def _as_before(place: LockPlace, name: str, entry: Entry, before: Entry) -> Entry:
    """Give an entry with the surface that was captured of it earlier, if it is the same."""
    tools = () if before.surface is None else before.surface.tools
    access = access_of(name, place.config, tools)
    return msgspec.structs.replace(entry, surface=before.surface, access=access)


def _refused(captured: CapturedSurface) -> list[str]:
    return [
        f"{what} cannot be approved: {reason}"
        for what, reason in sorted(captured.document.refused.items())
    ]
