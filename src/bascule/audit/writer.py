"""The writer: many records, one sync. A call goes on when its record is on disk.

A commit costs as much as several calls, so calls that come together share one. Records that
somebody waits for are gathered until a turn of the event loop brings no more; for a lone
call that is at once. Records that nobody waits for go along, or a little later by
themselves: else they would be what the next call has to wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from bascule.audit.inbox import ChainEnd, Inbox, Segment
from bascule.audit.once import Once
from bascule.audit.openings import MAX_OPENING_BYTES, OpeningSealer, pack_openings
from bascule.audit.record import RecordTooLargeError
from bascule.audit.tile import MAX_ENTRY_BYTES
from bascule.clock import monotonic
from bascule.errors import BasculeError

MAX_WAITING = 20_000
MAX_WAITING_BYTES = 64 << 20
"""Records, and their bytes, that may wait for the disk before calls are refused."""
MAX_SEGMENT = 4096
MAX_SEGMENT_BYTES = 8 << 20
"""Records, and their bytes, of one segment; one record more may go over."""
MIN_FREE_BYTES = 64 << 20
DISK_CHECK_SECONDS = 1.0
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.002
"""Longest time in which records that somebody waits for are gathered."""
LINGER_SECONDS = 0.010
"""Longest time in which a record that nobody waits for is held back."""

OnDurable = Callable[[bool], None]


class _Item(NamedTuple):
    leaf: bytes
    """Empty: nothing but `once` is to be noted."""
    on_durable: OnDurable | None = None
    opening: bytes | None = None
    once: Once | None = None

    @property
    def is_kept(self) -> bool:
        """Whether its record is to be written, as far as is known."""
        return bool(self.leaf) and (self.once is None or not self.once.spent)


class LogUnavailableError(BasculeError):
    """A record cannot be written, so what it would record must not happen."""


class Writer:
    """Appends the records of one process; `append` and callbacks on its event loop."""

    def __init__(
        self,
        inbox: Inbox,
        sealer: OpeningSealer,
        *,
        chain_key: bytes,
        folder: Path,
        name: str,
        boot: str,
        min_free_bytes: int = MIN_FREE_BYTES,
    ) -> None:
        """`folder` is where free space is looked at."""
        self._inbox = inbox
        self._sealer = sealer
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._boot = boot
        self._chain = ChainEnd(chain_key, name, boot)
        self._chains = 0
        self._waiting: deque[_Item] = deque()
        # Counts since the start, each written by one thread alone: the loop's…
        self._appended = 0
        self._released = 0
        """Records that the thread may take: what was appended since is being gathered."""
        self._bytes_in = 0
        # … and the writer's.
        self._taken = 0
        self._bytes_out = 0
        self._gathering = False
        self._lingering = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._disk_checked = -DISK_CHECK_SECONDS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="audit-writer", daemon=True)
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
        once: Once | None = None,
    ) -> None:
        """Hand in a leaf; `on_durable` is told whether it came to be on disk.

        With a `once` that was handed in before, to any process, it does not: then that is
        marked as spent. An empty leaf is none, just a `once`.
        Raises `LogUnavailableError` when it cannot be taken at all, and
        `RecordTooLargeError` for what no segment can hold.
        """
        if self.problem is not None:
            raise LogUnavailableError(self.problem)
        if (
            len(self._waiting) >= MAX_WAITING
            or self._bytes_in - self._bytes_out >= MAX_WAITING_BYTES
            or self._stopping
        ):
            raise LogUnavailableError("the log cannot keep up")
        if len(leaf) > MAX_ENTRY_BYTES or (opening and len(opening) > MAX_OPENING_BYTES):
            raise RecordTooLargeError("record is too large")
        self._bytes_in += len(leaf) + (len(opening) if opening else 0)
        self._waiting.append(_Item(leaf, on_durable, opening, once))
        self._appended += 1
        loop = self._loop
        if self._gathering or loop is None:
            return
        if on_durable is not None:
            self._gathering = True
            loop.call_soon(self._gather, 0, monotonic() + GATHER_SECONDS)
        elif not self._lingering:
            self._lingering = True
            loop.call_later(LINGER_SECONDS, self._end_lingering)

    def _gather(self, seen: int, until: float) -> None:
        """Wait for another turn of the loop while each brings more records."""
        loop = self._loop
        if loop is not None and self._appended != seen and monotonic() < until:
            loop.call_soon(self._gather, self._appended, until)
            return
        self._gathering = False
        self._release()

    def _end_lingering(self) -> None:
        self._lingering = False
        if self._appended != self._released and not self._gathering:
            self._release()

    def _release(self) -> None:
        self._released = self._appended
        self._wake.put(None)

    def append_now(self, *leaves: bytes) -> None:
        """Write leaves before returning; where no thread runs.

        Raises `LogUnavailableError`.
        """
        if not self._write([_Item(leaf) for leaf in leaves]):
            raise LogUnavailableError(self.problem or "the record could not be written")

    def close(self) -> None:
        """Write what waits and stop."""
        self._stopping = True
        self._wake.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while True:
            with contextlib.suppress(Empty):
                self._wake.get(timeout=None if self.problem is None else RETRY_SECONDS)
            while batch := self._next_batch():
                self._tell(batch, self._write(batch))
            if self._stopping:
                return
            if self.problem is not None:
                self._probe()

    def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        left = len(self._waiting) if self._stopping else self._released - self._taken
        while len(batch) < min(left, MAX_SEGMENT) and size < MAX_SEGMENT_BYTES:
            item = self._waiting.popleft()
            size += len(item.leaf) + (len(item.opening) if item.opening else 0)
            batch.append(item)
        self._taken += len(batch)
        self._bytes_out += size
        return batch

    def _write(self, batch: list[_Item]) -> bool:
        try:
            self._check_disk()
            segment = self._keep(batch)
        except Exception as exc:  # noqa: BLE001 - whatever it is: not written, so not done
            self.problem = f"the log cannot be written: {exc}"
            self._begin_chain()
            return False
        if segment is not None:
            self._chain.advance(segment)
        self.problem = None
        return True

    def _keep(self, batch: list[_Item]) -> Segment | None:
        """Commit a batch but for what is spent; give the segment that it became."""
        made: list[Segment] = []

        def make() -> Segment | None:
            segment = self._segment([item for item in batch if item.is_kept])
            made.extend(() if segment is None else (segment,))
            return segment

        onces = [item.once for item in batch if item.once is not None]
        if onces:
            self._inbox.claim(onces, make)
        else:
            segment = make()
            if segment is not None:
                self._inbox.write(segment)
        return made[0] if made else None

    def _segment(self, items: list[_Item]) -> Segment | None:
        if not items:
            return None
        openings = pack_openings([self._sealer.seal(item.opening) for item in items])
        return self._chain.segment([item.leaf for item in items], openings)

    def _probe(self) -> None:
        """Find out whether records can be written again; nobody hands any in meanwhile."""
        try:
            self._check_disk()
            self._inbox.probe()
        except Exception as exc:  # noqa: BLE001 - as in _write
            self.problem = f"the log cannot be written: {exc}"
        else:
            self.problem = None

    def _begin_chain(self) -> None:
        """Leave a chain whose end is unknown: the write may have taken place after all."""
        self._chains += 1
        boot = f"{self._boot}/{self._chains}"
        self._chain = ChainEnd(self._chain.key, self._chain.writer, boot)

    def _check_disk(self) -> None:
        now = monotonic()
        if now - self._disk_checked < DISK_CHECK_SECONDS:
            return
        free = os.statvfs(self._folder)
        if free.f_bavail * free.f_frsize < self._min_free_bytes:
            raise OSError(f"less than {self._min_free_bytes >> 20} MiB are free")
        self._disk_checked = now

    def _tell(self, batch: list[_Item], written: bool) -> None:
        callbacks = [
            (item.on_durable, written and (item.once is None or not item.once.spent))
            for item in batch
            if item.on_durable is not None
        ]
        loop = self._loop
        if not callbacks or loop is None:
            return
        try:
            loop.call_soon_threadsafe(_run, loop, callbacks)
        except RuntimeError:
            # The loop was closed under us: nobody waits any more, but the rest is written.
            return


def _run(loop: asyncio.AbstractEventLoop, callbacks: list[tuple[OnDurable, bool]]) -> None:
    """Call all, whatever one of them does: each stands for another call."""
    for callback, written in callbacks:
        try:
            callback(written)
        except Exception as exc:  # noqa: BLE001 - told to the loop, as for any callback
            loop.call_exception_handler(
                {"message": "a record's callback failed", "exception": exc}
            )
