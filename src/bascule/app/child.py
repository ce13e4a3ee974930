"""One worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from bascule.app.channel import Channel, Counted, Prepared, Serving, ToSupervisor
from bascule.app.counts import Counts


def start_process(
    inherited: Sequence[int],
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a worker with a fresh interpreter; gives our end of the channel to it.

    `-P`: with `-m` alone Python would look for modules in the working directory first, and
    whoever may write there would be in the process that has the keys (CWE-427).
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [sys.executable, "-P", "-m", "bascule.app.worker_process"]
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - no part of it is from outside
            [*command, str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *inherited],
            process_group=0,  # Ctrl-C is for the supervisor, which drains them
        )
    return ours, process


class Child:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel, boot: str):
        self.process = process
        self.channel = channel
        self.boot = boot
        self.counts = Counts()
        self.serving = asyncio.Event()
        self.prepared = 0
        """Number of the configuration that it has prepared last."""
        self.problem = ""
        self.answered = asyncio.Event()
        self.gone = asyncio.Event()
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Take in what it says until it is gone."""
        while (message := await self.channel.from_worker()) is not None:
            self._take(message)
        # Its end of the channel closes with the process: this hardly waits.
        await asyncio.to_thread(self.process.wait)
        self.channel.close()
        self.gone.set()

    def _take(self, message: ToSupervisor) -> None:
        match message:
            case Serving():
                self.serving.set()
            case Counted(counts):
                self.counts = counts
            case Prepared(number, problem):
                self.prepared, self.problem = number, problem
                self.answered.set()
