"""Runs a sequencer beside the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bascule.audit.sequencer import Sequencer
from bascule.clock import monotonic

INTERVAL_SECONDS = 1.0
IDLE_SECONDS = 600.0


class SequencerThread:
    """Takes in what waits every second; without any, signs anew every ten minutes."""

    def __init__(
        self, sequencer: Sequencer, on_problem: Callable[[Exception], None]
    ) -> None:
        self._sequencer = sequencer
        self._on_problem = on_problem
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name="audit-sequencer", daemon=True
        )
        self._signed = monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Take in what waits, once more, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(INTERVAL_SECONDS)
            try:
                self._once()
            except Exception as exc:  # noqa: BLE001 - told, and tried again: calls stop by lag
                self._on_problem(exc)
        self._sequencer.close()

    def _once(self) -> None:
        now = monotonic()
        if self._sequencer.step():
            self._signed = now
        elif now - self._signed > IDLE_SECONDS:
            self._sequencer.sign()
            self._signed = now
