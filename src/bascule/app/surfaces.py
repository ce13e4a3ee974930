"""Asking a connector's server for all that it serves, enclosed as when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bascule.app.enclosure import spec_of
from bascule.app.files import resolve_secret
from bascule.app.lock_place import LockPlace
from bascule.app.stdio import command_of
from bascule.launch.process import Process
from bascule.launch.sandbox.backend import report_nothing
from bascule.launch.sandbox.choose import choose
from bascule.lock.capture import CapturedSurface
from bascule.lock.capture_http import capture_http
from bascule.lock.capture_stdio import MAX_LINE_BYTES, capture_stdio
from bascule.lock.model import Entry
from bascule.lock.surface import format_document
from bascule.lock.view import CaptureError

SHORTEST_SECRET = 8
"""Characters; what is shorter may well stand in a description by chance."""


async def capture_surface(place: LockPlace, name: str, entry: Entry) -> CapturedSurface:
    """Capture what a connector serves.

    A stdio server is run from the store in the sandbox that it will run in, or in the next
    best one of this machine: the surface says in which. What holds a secret that the server
    was given is no surface: it would stand in files that all may read. Raises
    `CaptureError`, `LockError`.
    """
    connector = place.config.connectors[name]
    if connector.url is not None:
        header = None
        credential = connector.credential
        if credential.kind == "static" and credential.value is not None:
            header = (credential.header, resolve_secret(credential.value))
        found = await capture_http(
            connector.url,
            header=header,
            private=place.config.network.private,
            cleartext=connector.unsafe_cleartext,
        )
        return _without(() if header is None else (header[1], *header[1].split()), found)
    command = command_of(name, connector)
    spec = spec_of(place, name, entry, command)
    backend = choose(spec, connector.mode or "enforce")

    async def start(process: Process) -> None:
        await process.start(backend.prepare(spec, report_nothing), limit=MAX_LINE_BYTES)

    found = await capture_stdio(
        name,
        start,
        entry.launch.env,
        secrets=command.secrets,
        seen_by=backend.name,
    )
    return _without(command.secrets, found)


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
