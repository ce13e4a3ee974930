"""Calls of writers that are gone: closed, since nobody else will say how they ended."""

from __future__ import annotations

from collections.abc import Callable, Set

from bascule.audit.record import RECORD_VERSION, Record, ResultPart, encode
from bascule.audit.sequencer import Sequencer
from bascule.audit.writer import Writer
from bascule.clock import new_id, system_micros

SUPERVISOR_WRITER = "supervisor"

Ended = Callable[[Set[str]], Set[str]]
"""Gives those of some chains that nobody can write any more, for good."""


class LocalWriters:
    """The runs of writers that are alive on this host, as the supervisor knows them."""

    def __init__(self, *boots: str) -> None:
        self._alive = set(boots)

    def add(self, boot: str) -> None:
        """A process is about to start."""
        self._alive.add(boot)

    def discard(self, boot: str) -> None:
        """A process is gone, and with it whatever it could have written."""
        self._alive.discard(boot)

    def ended(self, chains: Set[str]) -> Set[str]:
        """Give those of other boots."""
        return {name for name in chains if boot_of(name) not in self._alive}


def boot_of(chain: str) -> str:
    """Give the boot of a chain; after a failed write one goes on as `BOOT/1`."""
    return chain.partition(" ")[2].partition("/")[0]


class Closing:
    """Closes calls, in the name of the process that is the sequencer."""

    def __init__(self, writer: Writer, ended: Ended, *, origin: str, boot: str) -> None:
        """`writer` is one of its own, of the name and boot given here."""
        self._writer = writer
        self._ended = ended
        self._origin = origin
        self._boot = boot

    def close_ended(self, sequencer: Sequencer) -> None:
        """Record `outcome_unknown` for the open calls of writers that are gone.

        Raises what `Sequencer.step` raises, and `LogUnavailableError`.
        """
        gone = self._ended(sequencer.chains())
        if not gone:
            return
        sequencer.step()  # what they wrote last is in the inbox by now, maybe not taken
        calls = sequencer.open_calls(gone)
        if calls:
            self._writer.append_now(*map(self._unknown_outcome, calls))
            sequencer.step()  # or the next look would find them open still
        sequencer.retire(gone)

    def _unknown_outcome(self, call: str) -> bytes:
        now = system_micros()
        record = Record(
            boot=self._boot,
            id=new_id(now),
            log=self._origin,
            parent=call,
            result=ResultPart(bytes=0, outcome="outcome_unknown"),
            stage="completed",
            ts=now,
            type="call.end",
            v=RECORD_VERSION,
            writer=SUPERVISOR_WRITER,
        )
        return encode(record)
