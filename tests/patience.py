"""How long tests wait for what must come: on a busy machine, all takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from bascule.clock import monotonic

PATIENCE = 60.0
"""Seconds after which a test gives up; nothing takes as long."""
PAUSE = 0.02
"""Seconds between two looks, in which others have the core."""


def until(reached: Callable[[], bool]) -> None:
    """Ask again and again until it is so."""
    end = monotonic() + PATIENCE
    while not reached():
        assert monotonic() < end, "it never came to that"
        time.sleep(PAUSE)
