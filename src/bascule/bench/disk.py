"""What the disk costs: waiting for it is a part of each call's time."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

from bascule.clock import monotonic

APPENDS = 100
BYTES = 512


def fsync_microseconds(folder: Path) -> float:
    """Measure a small append until it is on disk: the median of a hundred."""
    path = folder / "fsync"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        times = [_append(descriptor) for _ in range(APPENDS)]
    finally:
        os.close(descriptor)
        path.unlink()
    return round(median(times) * 1e6, 1)


def _append(descriptor: int) -> float:
    began = monotonic()
    os.write(descriptor, bytes(BYTES))
    os.fdatasync(descriptor)
    return monotonic() - began
