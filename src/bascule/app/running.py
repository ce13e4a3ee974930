"""A locked connector on our own streams, for a client that starts its servers itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from functools import partial

from bascule.app.locked_launch import LockedLaunch, record_reached
from bascule.app.state import record_admin
from bascule.app.stdio import command_of
from bascule.errors import BasculeError
from bascule.launch.command import LaunchError
from bascule.launch.process import spawn
from bascule.launch.start import Start

INTERRUPTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(launch: LockedLaunch, name: str) -> int:
    """Run a connector as it is locked, whatever its mode; gives its exit status.

    Its input, output and errors are those of this process. Raises `LaunchError` when it is
    not approved or not as it was locked, and `BasculeError` when nothing could be recorded.
    """
    connector = launch.config.connectors.get(name)
    if connector is None or connector.command is None:
        raise BasculeError(f"connector `{name}` is not configured with a `command`")
    command = command_of(name, connector)
    report = partial(record_reached, launch.place, name)
    start = await launch.start(command, report, mode="enforce")
    assert start is not None  # noqa: S101 - `enforce` starts or refuses
    try:
        about = {"program": start.named, "revision": "", "sandbox": start.backend}
        record = partial(
            record_admin,
            launch.place,
            "server.start",
            about,
            user=None,
            agent=None,
            connector=name,
        )
        await asyncio.to_thread(record)
        return await _pass_through(start)
    finally:
        start.close()


async def _pass_through(start: Start) -> int:
    try:
        process, lifeline = spawn(start, streams=None)
    except OSError as exc:
        raise LaunchError(f"cannot run it: {exc.strerror}") from exc
    loop = asyncio.get_running_loop()
    for number in INTERRUPTED:
        loop.add_signal_handler(number, _cut, lifeline)
    waiting = loop.run_in_executor(None, process.wait)
    try:
        start.spawned()
        await start.attend()
        return await asyncio.shield(waiting)
    finally:
        with lifeline:
            _cut(lifeline)
            await waiting


def _cut(lifeline: socket.socket) -> None:
    """Have the warden end the command."""
    with contextlib.suppress(OSError):
        lifeline.shutdown(socket.SHUT_WR)
