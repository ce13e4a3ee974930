"""What supervisor and workers tell one another: a line of JSON for each message."""

from __future__ import annotations

import asyncio
import socket

import msgspec
from msgspec import Struct

from bascule.app.counts import Counts
from bascule.app.shadow import ShadowRights
from bascule.config.model import Config
from bascule.decision.gate import Gate
from bascule.decision.granted import Granted

MAX_LINE_BYTES = 64 << 20
"""A configuration with its policies is one line."""


class Settings(Struct, frozen=True):
    """A configuration, its policy files by name, and what is approved and granted."""

    config: Config
    policies: dict[str, str]
    gates: dict[str, Gate | None]
    grants: tuple[Granted, ...] = ()
    shadow: ShadowRights | None = None


class Start(Struct, frozen=True, tag=True):
    """Begin to serve; the first thing that a worker is told."""

    settings: Settings
    data_dir: str
    boot: str
    """Random id of this run, under which it writes records."""
    listeners: list[int]
    """Descriptors of the bound sockets that it inherited."""
    counts: int
    """Descriptor of the memory in which workers count what the host limits."""
    counts_key: bytes
    row: int
    """Which of the workers this is, from 0."""
    rows: int
    """How many there are."""


class LogState(Struct, frozen=True, tag=True):
    """How the log does, once a second; silence counts as lag."""

    lag: float
    """Seconds that the oldest record waits to be taken into the tree."""
    problems: list[str]
    """What is late, one sentence each."""


class Prepare(Struct, frozen=True, tag=True):
    """Make all that a new configuration needs, and answer `Prepared`."""

    number: int
    """Tells answers to this from late ones to another."""
    settings: Settings


class Commit(Struct, frozen=True, tag=True):
    """Put what was prepared into force."""


class Approvals(Struct, frozen=True, tag=True):
    """What is approved from now on, of the configuration in force."""

    gates: dict[str, Gate | None]


class Granting(Struct, frozen=True, tag=True):
    """Who was granted what, from now on."""

    grants: tuple[Granted, ...]


class Drain(Struct, frozen=True, tag=True):
    """Answer what is begun, then end."""


class Serving(Struct, frozen=True, tag=True):
    """The worker accepts requests."""


class Prepared(Struct, frozen=True, tag=True):
    """Whether the configuration can be put into force."""

    number: int
    problem: str
    """Empty when it can."""


class Counted(Struct, frozen=True, tag=True):
    """The worker's counters, once a second."""

    counts: Counts


ToWorker = Start | LogState | Prepare | Commit | Approvals | Granting | Drain
ToSupervisor = Serving | Prepared | Counted

_to_worker = msgspec.json.Decoder(ToWorker)
_to_supervisor = msgspec.json.Decoder(ToSupervisor)


class Channel:
    """One end of the connection between supervisor and worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: ToWorker | ToSupervisor) -> None:
        """Send a message; nothing when the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message) + b"\n")

    async def line(self) -> bytes:
        """Wait for the next message; empty when the other end is gone."""
        try:
            return await self._reader.readline()
        except OSError:
            return b""

    async def from_supervisor(self) -> ToWorker | None:
        """Wait for the next message to a worker; None when the supervisor is gone."""
        line = await self.line()
        return _to_worker.decode(line) if line else None

    async def from_worker(self) -> ToSupervisor | None:
        """Wait for the next message of a worker; None when it is gone."""
        line = await self.line()
        return _to_supervisor.decode(line) if line else None

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


async def open_channel(sock: socket.socket) -> Channel:
    """Use one end of a socket pair."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=MAX_LINE_BYTES)
    return Channel(reader, writer)
