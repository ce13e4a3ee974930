"""What a reload changes in the rights of everybody, told by a record of its own.

It is found out beside the serving, once the new rights are in force: a reload in a hurry
waits for nothing, and gives up the comparison of the one before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bascule.app import state
from bascule.app.candidates import Candidate
from bascule.app.everyone import everyone
from bascule.app.load import Loaded
from bascule.app.place import Place
from bascule.clock import monotonic, system_clock
from bascule.decision.rights_diff import Block, together
from bascule.errors import BasculeError

log = logging.getLogger("bascule")

MAX_SECONDS = 30.0
MAX_CHARACTERS = 2000
_PAUSE_SECONDS = 0.001
"""After each pair of user and agent, so that whoever is served is not kept waiting."""
_MOST_BLOCKS = 3
_MOST_NAMES = 3


class _GivenUpError(BasculeError):
    """It takes too long, or nobody wants to know any more."""


class RightsChanges:
    """Records for whom what becomes allowed, and what denied."""

    def __init__(self, place: Place, config_path: Path) -> None:
        self._place = place
        self._config_path = config_path
        self._latest: Loaded | None = None

    def tell(self, before: Loaded, after: Loaded) -> None:
        """Begin to compare; what was begun before is given up."""
        self._latest = after
        # One that is at work when the process ends is of no use any more.
        threading.Thread(target=self._tell, args=(before, after), daemon=True).start()

    def _tell(self, before: Loaded, after: Loaded) -> None:
        try:
            changes = self._compared(before, after)
            if changes:
                digests = {
                    "before": before.snapshot.digest,
                    "after": after.snapshot.digest,
                }
                state.record_admin(
                    self._place,
                    "policy.rights",
                    {**digests, **changes},
                    user=None,
                    agent=None,
                    connector=None,
                )
        except BasculeError as exc:
            log.warning("whose rights a reload changed is not recorded: %s", exc)

    def _compared(self, before: Loaded, after: Loaded) -> dict[str, str]:
        end = monotonic() + MAX_SECONDS

        def go_on(done: int, of: int) -> None:
            if monotonic() > end or self._latest is not after:
                raise _GivenUpError("it was given up; `bascule policy diff` tells")
            time.sleep(_PAUSE_SECONDS)

        sides = [
            Candidate(self._config_path, it.config, it.policies) for it in (before, after)
        ]
        whose = everyone(sides, self._place.open_state())
        return summary_of(
            together(before.snapshot, after.snapshot, whose, system_clock(), go_on)
        )


def summary_of(blocks: Sequence[Block]) -> dict[str, str]:
    """Write how many combinations of user, agent and tool change, and the largest blocks.

    By the kind of change; nothing for no difference.
    """
    by_kind: dict[str, list[Block]] = {}
    for block in blocks:
        by_kind.setdefault(block.change.kind, []).append(block)
    return {kind: _written(found) for kind, found in by_kind.items()}


def _written(blocks: Sequence[Block]) -> str:
    shown = "; ".join(_parts(blocks[:_MOST_BLOCKS]))
    more = len(blocks) - _MOST_BLOCKS
    end = f"; and {more} more" if more > 0 else ""
    return f"{sum(it.size for it in blocks)}: {shown}{end}"[:MAX_CHARACTERS]


def _parts(blocks: Sequence[Block]) -> Iterator[str]:
    for it in blocks:
        users = _named([user or "by itself" for user in it.users])
        yield f"{users} through {_named(it.agents)}: {_named(it.targets)}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
