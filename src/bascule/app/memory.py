"""The garbage collector of a process that serves."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 10_000


def keep_what_is_there() -> None:
    """Take what was set up out of the collector's sight, and let it look less often.

    A request leaves no reference cycles, so looking after each few requests, as is the
    default, finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
