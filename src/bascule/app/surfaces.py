"""Asking a connector's server for all that it serves, enclosed as when it runs."""

from __future__ import annotations

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


async def capture_surface(place: LockPlace, name: str, entry: Entry) -> CapturedSurface:
    """Capture what a connector serves.

    A stdio server is run from the store in the sandbox that it will run in, or in the next
    best one of this machine: the surface says in which. Raises `CaptureError`, `LockError`.
    """
    connector = place.config.connectors[name]
    if connector.url is not None:
        header = None
        credential = connector.credential
        if credential.kind == "static" and credential.value is not None:
            header = (credential.header, resolve_secret(credential.value))
        return await capture_http(
            connector.url,
            header=header,
            private=place.config.network.private,
            cleartext=connector.unsafe_cleartext,
        )
    command = command_of(name, connector)
    spec = spec_of(place, name, entry, command)
    backend = choose(spec, connector.mode or "enforce")

    async def start(process: Process) -> None:
        await process.start(backend.prepare(spec, report_nothing), limit=MAX_LINE_BYTES)

    return await capture_stdio(
        name,
        start,
        entry.launch.env,
        secrets=command.secrets,
        seen_by=backend.name,
    )
