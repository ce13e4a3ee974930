"""Asking a connector's server for all that it serves, enclosed as when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from bascule.app.enclosure import spec_of
from bascule.app.lock_place import LockPlace
from bascule.app.secrets import is_reference
from bascule.app.stdio import command_of
from bascule.app.upstream_credentials import listing_header
from bascule.config.model import Connector
from bascule.launch.command import Command, LaunchError
from bascule.launch.process import Process
from bascule.launch.sandbox.choose import choose
from bascule.launch.sandbox.spec import SandboxSpec, grants_of
from bascule.lock.capture import CapturedSurface
from bascule.lock.capture_http import capture_http
from bascule.lock.capture_stdio import MAX_LINE_BYTES, capture_stdio
from bascule.lock.model import Entry
from bascule.lock.surface import format_document
from bascule.lock.view import CaptureError

PLACEHOLDER = "not-given-before-approval"
"""In the place of each secret."""
SHORTEST_SECRET = 8
"""Characters; what is shorter may well stand in a description by chance."""


async def capture_surface(
    place: LockPlace, name: str, entry: Entry, *, trusted: bool
) -> CapturedSurface:
    """Capture what a connector serves.

    A stdio server is run from the store in the sandbox that it will run in, or in the next
    best one of this machine: the surface says in which. Unless it is `trusted` it gets
    nothing of what it is declared to have: who adds a connector would have it from whoever
    reviews that. What holds a secret that the server was given is no surface: it would
    stand in files that all may read. Raises `CaptureError`, `LockError`.
    """
    connector = place.config.connectors[name]
    if connector.url is not None:
        return await _of_url(place, connector, trusted=trusted)
    command = (
        command_of(name, connector, place.read_secret)
        if trusted
        else _without_secrets(name, connector)
    )
    spec = spec_of(place, name, entry, command)
    if not trusted:
        spec = _without_access(spec)
    # Nobody has looked at it yet: whatever its mode, it is not run without a sandbox.
    mode = connector.mode if trusted else "enforce"
    try:
        backend = choose(spec, mode or "enforce")
    except LaunchError as exc:
        raise CaptureError(str(exc)) from exc
    report = partial(place.report, name)

    async def start(process: Process) -> None:
        await process.start(backend.prepare(spec, report), limit=MAX_LINE_BYTES)

    found = await capture_stdio(
        name,
        start,
        entry.launch.env,
        secrets=command.secrets,
        seen_by=backend.name,
    )
    return _without(command.secrets, found)


def withheld(connector: Connector) -> list[str]:
    """Say what a connector is declared to have and does not get before it is approved."""
    found = {
        "its secrets": any(map(is_reference, connector.env.values())),
        "its files": bool(connector.sandbox.read or connector.sandbox.write),
        "its hosts": connector.command is not None and bool(connector.boundary.may_reach),
        "its credential": connector.credential.kind != "none",
    }
    return [what for what, is_so in found.items() if is_so]


async def _of_url(
    place: LockPlace, connector: Connector, *, trusted: bool
) -> CapturedSurface:
    assert connector.url is not None  # noqa: S101 - the caller has looked
    header = None
    if trusted:
        header = await listing_header(connector, place.config, place.read_secret)
    found = await capture_http(
        connector.url,
        header=header,
        private=place.config.network.private,
        cleartext=connector.unsafe_cleartext,
    )
    return _without(() if header is None else (header[1], *header[1].split()), found)


def _without_secrets(name: str, connector: Connector) -> Command:
    assert connector.command is not None  # noqa: S101 - the caller has looked
    environment = {
        variable: PLACEHOLDER if is_reference(value) else value
        for variable, value in connector.env.items()
    }
    return Command(name, connector.command, environment)


def _without_access(spec: SandboxSpec) -> SandboxSpec:
    """Give a start with empty folders in the place of its files, and no network.

    What could never be granted is told at once. Raises `CaptureError`.
    """
    try:
        grants_of(spec)
    except LaunchError as exc:
        raise CaptureError(str(exc)) from exc
    folders = tuple(path for path in (*spec.read, *spec.write) if path.is_dir())
    return replace(spec, read=(), write=(), empty=folders, may_reach=(), private=())


def _without(secrets: Iterable[str], found: CapturedSurface) -> CapturedSurface:
    """Give a surface that holds none of them. Raises `CaptureError`."""
    said = "\n".join(_texts(json.loads(format_document(found.document))))
    if any(it in said for it in secrets if len(it) >= SHORTEST_SECRET):
        raise CaptureError(
            "it shows a secret that it was given (an `env` reference or the credential) in "
            "its definitions: give it that in a way in which it does not repeat it"
        )
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
