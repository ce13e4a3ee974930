"""The sequencer of one process, beside its event loop: elected, or waiting to be."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bascule.audit.closing import Closing
from bascule.audit.log_files import SequencerBusyError
from bascule.audit.sequencer import Sequencer
from bascule.clock import monotonic

INTERVAL_SECONDS = 1.0
IDLE_SECONDS = 600.0
BUSY_SECONDS = 3.0
BUSY_PAUSE_SECONDS = 0.05

Elect = Callable[[], Sequencer]
"""Takes the log over. Raises `SequencerBusyError` while another process has it."""


class Sequencing:
    """Takes in what waits every second; without any, signs anew every ten minutes."""

    def __init__(
        self,
        elect: Elect,
        closing: Closing,
        on_problem: Callable[[Exception], None],
        *,
        waiting: Callable[[], float] | None,
    ) -> None:
        """`waiting` gives the seconds that the oldest record waits.

        It is asked while another process is the sequencer; None says that no other may be.
        """
        self._elect = elect
        self._closing = closing
        self._on_problem = on_problem
        self._waiting = waiting
        self._sequencer: Sequencer | None = None
        self._lag = (0.0, monotonic())
        """Age of the oldest record, and when that was so."""
        self._told = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name="audit-sequencer", daemon=True
        )
        self._signed = monotonic()

    def begin(self) -> None:
        """Become the sequencer if nobody is, and close what earlier runs left open.

        Raises `SequencerBusyError` where no other may be, `TamperedLogError`, `TreeError`.
        """
        end = monotonic() + BUSY_SECONDS
        while self._sequencer is None:
            try:
                self._sequencer = self._elect()
            except SequencerBusyError:
                if self._waiting is not None:
                    self._look()
                    return
                # A command takes records in, which is soon over.
                if monotonic() > end or self._stop.wait(BUSY_PAUSE_SECONDS):
                    raise
        self._sequencer.step()
        self._closing.close_ended(self._sequencer)

    def start(self) -> None:
        """Go on in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Take in what waits, once more, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        elif self._sequencer is not None:
            self._sequencer.close()

    @property
    def lag(self) -> float:
        """Give the seconds that the oldest record has waited to be taken into the tree."""
        sequencer = self._sequencer
        if sequencer is not None:
            return sequencer.lag
        age, looked = self._lag
        return age + monotonic() - looked

    @property
    def copy_problem(self) -> str | None:
        """Say why the newest checkpoint could not be copied."""
        sequencer = self._sequencer
        return None if sequencer is None else sequencer.copy_problem

    def _work(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(INTERVAL_SECONDS)
            try:
                self._once()
                self._told = ""
            except Exception as exc:  # noqa: BLE001 - told, and tried again: calls stop by lag
                self._tell(exc)
        if self._sequencer is not None:
            self._sequencer.close()

    def _tell(self, problem: Exception) -> None:
        """Tell a problem once, not each second as long as it lasts."""
        if str(problem) != self._told:
            self._told = str(problem)
            self._on_problem(problem)

    def _once(self) -> None:
        if self._sequencer is None:
            self.begin()
            return
        try:
            self._take_in(self._sequencer)
        except SequencerBusyError:
            if self._waiting is not None:
                self._depose(self._sequencer)
            raise

    def _take_in(self, sequencer: Sequencer) -> None:
        now = monotonic()
        if sequencer.step():
            self._signed = now
        elif now - self._signed > IDLE_SECONDS:
            sequencer.sign()
            self._signed = now
        self._closing.close_ended(sequencer)

    def _depose(self, sequencer: Sequencer) -> None:
        """Another one took over: what this one took and did not commit is nothing."""
        self._lag = sequencer.lag, monotonic()
        self._sequencer = None
        sequencer.close()

    def _look(self) -> None:
        assert self._waiting is not None  # noqa: S101 - only where another may be
        self._lag = self._waiting(), monotonic()
