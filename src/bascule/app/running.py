"""A locked connector on our own streams, for a client that starts its servers itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bascule.app.locked_launch import LockedLaunch, record_reached, record_refused
from bascule.app.state import record_admin
from bascule.app.stdio import command_of
from bascule.errors import BasculeError
from bascule.launch.command import Command, LaunchError
from bascule.launch.process import spawn
from bascule.launch.start import Start
from bascule.lock.model import Entry

LOOK_SECONDS = 0.5
"""How often it is looked whether what runs is still approved."""
PATIENT_LOOKS = 20
INTERRUPTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(launch: LockedLaunch, name: str) -> int:
    """Run a connector as it is locked, whatever its mode; gives its exit status.

    Its input, output and errors are those of this process. Raises `LaunchError` when it is
    not approved or not as it was locked, or not any more, and `BasculeError` when nothing
    could be recorded.
    """
    connector = launch.config.connectors.get(name)
    if connector is None or connector.command is None:
        raise BasculeError(f"connector `{name}` is not configured with a `command`")
    command = command_of(name, connector, launch.read_secret)
    try:
        return await _run(launch, name, command)
    except LaunchError as exc:
        await record_refused(launch.place, name, str(exc))
        raise


async def _run(launch: LockedLaunch, name: str, command: Command) -> int:
    report = partial(record_reached, launch.place, name)
    entry = await asyncio.to_thread(launch.entry_of, name)
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
        return await _pass_through(start, _until_not_approved(launch, name, entry))
    finally:
        start.close()


async def _until_not_approved(launch: LockedLaunch, name: str, entry: Entry) -> str:
    """Wait until what runs is not approved any more, and say why.

    A state that cannot be read says nothing for as long as others may be writing it.
    """
    gate, known, failed = None, -1, 0
    while True:
        try:
            generation = await asyncio.to_thread(launch.generation)
            if gate is None or generation != known:
                gate = await asyncio.to_thread(launch.gate_of, name, entry)
                known = generation
            if problem := launch.not_approved(gate):
                return problem
            failed = 0
        except BasculeError as exc:
            failed += 1
            if failed > PATIENT_LOOKS:
                return f"its approval cannot be read: {exc}"
        await asyncio.sleep(LOOK_SECONDS)


async def _pass_through(start: Start, until_over: Coroutine[Any, Any, str]) -> int:
    """Let it run to its end, or until `until_over` gives why it must not any more."""
    over = asyncio.create_task(until_over)
    try:
        process, lifeline = spawn(start, streams=None)
    except OSError as exc:
        over.cancel()
        raise LaunchError(f"cannot run it: {exc.strerror}") from exc
    loop = asyncio.get_running_loop()
    for number in INTERRUPTED:
        loop.add_signal_handler(number, _cut, lifeline)
    waiting = loop.run_in_executor(None, process.wait)
    try:
        start.spawned()
        await start.attend()
        await asyncio.wait((waiting, over), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise LaunchError(over.result())
    finally:
        over.cancel()
        with lifeline:
            _cut(lifeline)
            await waiting


def _cut(lifeline: socket.socket) -> None:
    """Have the warden end the command."""
    with contextlib.suppress(OSError):
        lifeline.shutdown(socket.SHUT_WR)
