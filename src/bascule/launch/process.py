"""One running command: lines in, lines out, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

from bascule.clock import monotonic
from bascule.launch.error_log import ErrorLog
from bascule.launch.lines import LineReader, LineTooLongError
from bascule.launch.start import Start

log = logging.getLogger("bascule.stdio")

GRACE_SECONDS = 2.0
"""Time to end after standard input was closed, and again after SIGTERM."""
_ENDED_SECONDS = 10.0
"""After this, a process that ignores everything is given up."""
_POLL_SECONDS = 0.01
_LAST_WORDS_SECONDS = 1.0
_WARDEN = Path(__file__).with_name("warden.py")


class Listener(Protocol):
    """Who is told of a process's output and end."""

    def line_received(self, line: bytes) -> None:
        """Take one line of its standard output."""

    def congested(self, blocked: bool) -> None:
        """It has stopped to read what is written to it, or reads again."""

    def ended(self, reason: str) -> None:
        """Its output is over; called once, whatever the cause."""


class Process:
    """A command under its warden (see `warden.py`)."""

    def __init__(self, name: str, listener: Listener, *, secrets: frozenset[str]) -> None:
        self.name = name
        self.started = monotonic()
        self._listener = listener
        self._errors = ErrorLog(name, secrets, self.pipe_closed)
        self._start: Start | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._input: asyncio.WriteTransport | None = None
        self._outputs: list[asyncio.ReadTransport] = []
        """Standard output and standard error."""
        self._open_outputs = 0
        self._warden_ended = False
        self._last_words: asyncio.TimerHandle | None = None
        self._over = False
        self.exited = asyncio.Event()
        """Nothing of it is left, and all that it said was heard."""

    @property
    def pid(self) -> int:
        """The warden's process id."""
        return 0 if self._process is None else self._process.pid

    def last_words(self) -> list[str]:
        """Give the last lines of its standard error, without secrets."""
        return self._errors.last_words()

    async def start(self, start: Start, *, limit: int) -> None:
        """Run what `start` says; `limit` is the longest line in bytes.

        `start` is closed when the process has ended, or when this raises OSError; when it
        raises `LaunchError`, end the process.
        """
        self._start = start
        try:
            self._process, self._lifeline = spawn(start)
        except BaseException:
            start.close()
            raise
        start.spawned()
        await self._connect(self._process, limit)
        await start.attend()

    async def _connect(self, process: subprocess.Popen[bytes], limit: int) -> None:
        assert self._lifeline is not None  # noqa: S101 - set by `start`
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline.fileno(), self._warden_gone)
        self._input, _ = await loop.connect_write_pipe(
            lambda: _Input(self._listener), process.stdin
        )
        await self._read(process.stdout, _Output(self, LineReader(limit)))
        await self._read(process.stderr, self._errors)

    async def _read(self, pipe: IO[bytes] | None, protocol: asyncio.Protocol) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: protocol, pipe)
        self._outputs.append(transport)
        self._open_outputs += 1

    def write(self, line: bytes) -> None:
        """Send a line; nothing when the process has ended."""
        if self._input is not None and not self._input.is_closing():
            self._input.write(line + b"\n")

    def pause(self) -> None:
        """Read no more of its output for now."""
        if self._outputs and not self._outputs[0].is_closing():
            self._outputs[0].pause_reading()

    def resume(self) -> None:
        """Read its output again."""
        if self._outputs and not self._outputs[0].is_closing():
            self._outputs[0].resume_reading()

    def end(self, reason: str) -> None:
        """Begin to end it: standard input closes, then signals follow; see `stop`."""
        self._output_over(reason)
        if self._input is not None:
            self._input.close()

    async def stop(self) -> None:
        """End it: close its input, wait, SIGTERM, wait, SIGKILL; nothing of it is left.

        Output that it still has is thrown away meanwhile, so that it does not block on it.
        """
        if self._process is None:
            return
        self.end("is being stopped")
        self.resume()
        if not await self._wait_exited(GRACE_SECONDS):
            self.cut()
        if not await self._wait_exited(GRACE_SECONDS + _ENDED_SECONDS):
            log.error("[%s] process %d cannot be ended", self.name, self.pid)

    def cut(self) -> None:
        """Let the warden end the command: SIGTERM, then SIGKILL."""
        if self._lifeline is not None and not self.exited.is_set():
            with contextlib.suppress(OSError):
                self._lifeline.shutdown(socket.SHUT_WR)

    async def _wait_exited(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.exited.wait()
        except TimeoutError:
            return False
        return True

    # From the pipes

    def line_received(self, line: bytes) -> None:
        """Take one line of output."""
        if not self._over:
            self._listener.line_received(line)

    def output_closed(self, reason: str) -> None:
        """Its output is over, or not usable: end the rest."""
        if not self._over:
            self.end(reason)
            self.cut()

    def _output_over(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._listener.ended(reason)

    def _warden_gone(self) -> None:
        assert self._process is not None  # noqa: S101 - the callback came with it
        loop = asyncio.get_running_loop()
        if self._lifeline is not None:
            loop.remove_reader(self._lifeline.fileno())
            self._lifeline.close()
            self._lifeline = None
        if self._process.poll() is None:
            loop.call_later(_POLL_SECONDS, self._warden_gone)
            return
        if self._start is not None:
            self._start.close()
            self._start = None
        if not self._over:
            log.warning("[%s] ended with status %d", self.name, self._process.returncode)
        if self._input is not None:
            self._input.close()
        # Its last words may still be in the pipe; then comes the end of the pipe, unless
        # somebody whom the warden could not find holds it open.
        self._warden_ended = True
        self._last_words = loop.call_later(_LAST_WORDS_SECONDS, self._close_outputs)
        self._gone()

    def _close_outputs(self) -> None:
        self._output_over("has ended")
        for transport in self._outputs:
            transport.close()

    def pipe_closed(self) -> None:
        """One of its two outputs is at its end."""
        self._open_outputs -= 1
        self._gone()

    def _gone(self) -> None:
        if self._warden_ended and not self._open_outputs:
            self._output_over("has ended")
            if self._last_words is not None:
                self._last_words.cancel()
            self.exited.set()


def spawn(
    start: Start, *, streams: int | None = subprocess.PIPE
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a program under a warden; gives that one and our end of its lifeline.

    `streams` is what becomes of its input, output and errors: None for our own.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        command = [
            *(sys.executable, "-I", "-S", str(_WARDEN)),
            *(str(theirs.fileno()), str(GRACE_SECONDS)),
            *(",".join(map(str, start.keeps)), "inner" if start.inner else "own"),
            *(start.program, *start.argv),
        ]
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument vector, no shell
                command,
                bufsize=0,
                stdin=streams,
                stdout=streams,
                stderr=streams,
                pass_fds=(theirs.fileno(), *start.keeps),
                env=dict(start.environment),
                cwd=start.folder,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return process, ours


class _Input(asyncio.BaseProtocol):
    """The writing end of a command's standard input."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def pause_writing(self) -> None:
        self._listener.congested(True)

    def resume_writing(self) -> None:
        self._listener.congested(False)


class _Output(asyncio.Protocol):
    """The reading end of a command's standard output."""

    def __init__(self, process: Process, lines: LineReader) -> None:
        self._process = process
        self._lines = lines

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._process.line_received(line)
        except LineTooLongError as exc:
            self._process.output_closed(str(exc))

    def connection_lost(self, exc: Exception | None) -> None:
        self._process.output_closed("closed its output")
        self._process.pipe_closed()
