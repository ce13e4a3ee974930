"""The writer: many records, one sync. A call goes on when its record is on disk."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bascule.audit.inbox import GENESIS, Inbox, Segment
from bascule.audit.openings import OpeningSealer
from bascule.audit.tile import pack
from bascule.clock import monotonic
from bascule.errors import BasculeError

MAX_WAITING = 20_000
"""Records that may wait for the disk before calls are refused."""
MAX_SEGMENT = 4096
"""Records of one segment."""
MIN_FREE_BYTES = 64 << 20
DISK_CHECK_SECONDS = 1.0
RETRY_SECONDS = 1.0

OnDurable = Callable[[bool], None]


class LogUnavailableError(BasculeError):
    """A record cannot be written, so what it would record must not happen."""


class Writer:
    """Appends the records of one process; `append` and callbacks on its event loop."""

    def __init__(
        self, inbox: Inbox, sealer: OpeningSealer, *, folder: Path, name: str, boot: str
    ) -> None:
        self._inbox = inbox
        self._sealer = sealer
        self._folder = folder
        self._name = name
        self._boot = boot
        self._waiting: deque[tuple[bytes, OnDurable | None, bytes | None]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._refused_until = 0.0
        self._disk_checked = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="audit-writer", daemon=True)
        self._chains = 0
        self._chain = boot
        self._next = 0
        self._head = GENESIS
        self.problem: str | None = None
        """Why records cannot be written at the moment."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write; callbacks run in `loop`."""
        self._loop = loop
        self._thread.start()

    def append(
        self,
        leaf: bytes,
        on_durable: OnDurable | None = None,
        opening: bytes | None = None,
    ) -> None:
        """Hand in a leaf; `on_durable` is told whether it came to be on disk.

        Raises `LogUnavailableError` when it cannot be taken at all.
        """
        if self.problem is not None and monotonic() < self._refused_until:
            raise LogUnavailableError(self.problem)
        if len(self._waiting) >= MAX_WAITING or self._stopping:
            raise LogUnavailableError("the log cannot keep up")
        self._waiting.append((leaf, on_durable, opening))
        if not self._wake.is_set():
            self._wake.set()

    def append_now(self, leaf: bytes) -> None:
        """Write one leaf before returning; for commands. Raises `LogUnavailableError`."""
        if not self._write([(leaf, None, None)]):
            raise LogUnavailableError(self.problem or "the record could not be written")

    def close(self) -> None:
        """Write what waits and stop."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                size = min(len(self._waiting), MAX_SEGMENT)
                batch = [self._waiting.popleft() for _ in range(size)]
                self._tell(batch, self._write(batch))
            if self._stopping:
                return

    def _write(self, batch: list[tuple[bytes, OnDurable | None, bytes | None]]) -> bool:
        try:
            self._check_disk()
            segment = Segment(
                writer=self._name,
                boot=self._chain,
                first=self._next,
                count=len(batch),
                prev=self._head,
                leaves=pack([item[0] for item in batch]),
                openings=pack([self._sealer.seal(item[2]) for item in batch]),
            )
            self._inbox.write(segment)
        except Exception as exc:  # noqa: BLE001 - whatever it is: not written, so not done
            self.problem = f"the log cannot be written: {type(exc).__name__}"
            self._refused_until = monotonic() + RETRY_SECONDS
            self._begin_chain()
            return False
        self._next += segment.count
        self._head = segment.head
        self.problem = None
        return True

    def _begin_chain(self) -> None:
        """Leave a chain whose end is unknown: the write may have taken place after all."""
        self._chains += 1
        self._chain = f"{self._boot}/{self._chains}"
        self._next = 0
        self._head = GENESIS

    def _check_disk(self) -> None:
        now = monotonic()
        if now - self._disk_checked < DISK_CHECK_SECONDS:
            return
        free = os.statvfs(self._folder)
        if free.f_bavail * free.f_frsize < MIN_FREE_BYTES:
            raise OSError("less than 64 MiB are free")
        self._disk_checked = now

    def _tell(
        self, batch: list[tuple[bytes, OnDurable | None, bytes | None]], written: bool
    ) -> None:
        callbacks = [item[1] for item in batch if item[1] is not None]
        if callbacks and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_run, callbacks, written)


def _run(callbacks: list[OnDurable], written: bool) -> None:
    for callback in callbacks:
        callback(written)
