"""Folders of one process, and what of others is left that were killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "bascule-box-"


def make_folder(parent: Path) -> Path:
    """Make a folder whose name tells which process it belongs to. Raises OSError."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


def left_behind(parent: Path) -> Iterator[Path]:
    """Give folders of processes that are no more."""
    for path in parent.glob(f"{_PREFIX}*-*"):
        number = path.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not Path("/proc", number).exists():
            yield path
