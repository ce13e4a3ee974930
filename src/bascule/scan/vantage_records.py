"""What a vantage point did, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec


def append(path: Path, event: Mapping[str, object]) -> None:
    """Write one event; it is durable when this returns.

    The file is made 0600. Raises OSError; then what it is about may not be done.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(path, flags, 0o600)
    try:
        line = msgspec.json.encode(event) + b"\n"
        if os.write(descriptor, line) != len(line):
            raise OSError("the record was not written whole")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
