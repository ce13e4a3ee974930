"""A worker as a process of its own: `python -m bascule.app.worker_process DESCRIPTOR`.

It is told all that it needs over the inherited socket, and ends when the other end does.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from bascule.app.channel import (
    Approvals,
    Channel,
    Commit,
    Counted,
    Drain,
    Granting,
    LogState,
    Prepare,
    Prepared,
    Serving,
    Settings,
    Start,
    open_channel,
)
from bascule.app.dumpable import forbid_reading
from bascule.app.load import Loaded, loaded_from
from bascule.app.memory import keep_what_is_there
from bascule.app.place import Place
from bascule.app.timers import Timer, run_timers
from bascule.app.worker import TICK_SECONDS, Recording, Worker
from bascule.audit.log import GATEWAY_WRITER, open_writer
from bascule.clock import monotonic, system_entropy
from bascule.errors import BasculeError
from bascule.gateway.host_counts import HostCounts

PR_SET_PDEATHSIG = 1
SUPERVISOR_GONE = 4
"""Exit code of a worker whose supervisor is gone."""
FAILED = 3


class WorkerProcess:
    """One worker, as its supervisor sees it."""

    def __init__(self, channel: Channel, start: Start, place: Place) -> None:
        keys = place.log_keys()
        self._channel = channel
        self._start = start
        self._inbox = place.log().inbox()
        self._log = LogState(0.0, []), monotonic()
        """What was said last of the log, and when."""
        self._writer = open_writer(
            place.log(),
            self._inbox,
            keys,
            system_entropy,
            name=GATEWAY_WRITER,
            boot=start.boot,
        )
        recording = Recording(
            self._writer, keys.signer.name, start.boot, self._lag, self._late
        )
        loaded = _load(start.settings)
        self._worker = Worker(place, loaded, recording)
        self._worker.gateway.host = HostCounts(
            start.counts, row=start.row, rows=start.rows, key=start.counts_key
        )
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to drain."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._draining.set)
        self._writer.start(loop)
        await self._worker.start([socket.socket(fileno=it) for it in self._start.listeners])
        following = loop.create_task(self._follow_supervisor())
        timers = loop.create_task(run_timers([*self._worker.timers, self._report]))
        keep_what_is_there()
        self._channel.send(Serving())
        draining = loop.create_task(self._draining.wait())
        ended, _ = await asyncio.wait(
            {timers, following, draining}, return_when=asyncio.FIRST_COMPLETED
        )
        await self._worker.drain()
        timers.cancel()
        await asyncio.to_thread(self._writer.close)
        self._inbox.close()
        for task in ended:
            task.result()  # these never end, unless by a bug or to drain

    @property
    def _report(self) -> Timer:
        async def report() -> None:
            self._channel.send(Counted(self._worker.counts()))

        return Timer(TICK_SECONDS, report)

    async def _follow_supervisor(self) -> None:
        while True:
            match await self._channel.from_supervisor():
                case None:
                    # What it would have had to say may be a revocation of everything.
                    os._exit(SUPERVISOR_GONE)
                case LogState() as told:
                    self._log = told, monotonic()
                case Prepare() as asked:
                    self._channel.send(Prepared(asked.number, await self._prepare(asked)))
                case Commit():
                    self._worker.commit()
                case Approvals() as told:
                    self._worker.approve(told.gates)
                case Granting() as told:
                    self._worker.grant(told.grants)
                case Drain():
                    self._draining.set()
                case Start():
                    raise AssertionError("a worker starts once")

    async def _prepare(self, asked: Prepare) -> str:
        """Give what is wrong with a configuration; empty when nothing is."""
        try:
            loaded = await asyncio.to_thread(_load, asked.settings)
            await self._worker.prepare(loaded)
        except BasculeError as exc:
            return str(exc)
        return ""

    def _lag(self) -> float:
        told, when = self._log
        return told.lag + monotonic() - when

    def _late(self) -> list[str]:
        own = self._writer.problem
        return [*([] if own is None else [own]), *self._log[0].problems]


def _load(settings: Settings) -> Loaded:
    return loaded_from(
        settings.config,
        settings.policies,
        settings.gates,
        settings.grants,
        settings.shadow,
    )


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel knew
        os._exit(SUPERVISOR_GONE)


async def _serve(control: socket.socket) -> None:
    channel = await open_channel(control)
    start = await channel.from_supervisor()
    assert isinstance(start, Start)  # noqa: S101 - narrows for mypy
    place = Place(Path(start.data_dir), start.settings.config.server)
    try:
        await WorkerProcess(channel, start, place).run()
    finally:
        place.close()


def main() -> None:
    """Run one worker."""
    descriptor, parent = map(int, sys.argv[1:])
    die_with_parent(parent)
    forbid_reading()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    try:
        uvloop.run(_serve(socket.socket(fileno=descriptor)))
    except BasculeError as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
