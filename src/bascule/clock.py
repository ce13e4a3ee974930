"""The only module that reads the clock or draws randomness."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NewType

UnixTime = NewType("UnixTime", int)
"""Whole seconds since 1970-01-01T00:00:00Z, as in `iat` and `exp` (RFC 7519 §2)."""

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z, as in audit records."""

Clock = Callable[[], UnixTime]
Entropy = Callable[[int], bytes]

_POOL_BYTES = 4096
_pool = b""
_used = _POOL_BYTES


def system_clock() -> UnixTime:
    """Read the wall clock in seconds."""
    return UnixTime(int(time.time()))


def system_micros() -> Micros:
    """Read the wall clock in microseconds."""
    return Micros(time.time_ns() // 1000)


monotonic = time.monotonic
"""Reads the clock for time-outs and durations: seconds that never step."""


def system_entropy(size: int) -> bytes:
    """Draw `size` bytes from the operating system's CSPRNG."""
    return secrets.token_bytes(size)


def new_id(now: Micros) -> str:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 random bits.

    The random bits come from the CSPRNG in blocks, since one system call for each record
    would be a tenth of a call's whole budget. Not for secrets.
    """
    global _pool, _used
    if _used + 10 > len(_pool):
        _pool, _used = secrets.token_bytes(_POOL_BYTES), 0
    rand = int.from_bytes(_pool[_used : _used + 10], "big")
    _used += 10
    value = (
        (now // 1000) << 80
        | 0x7 << 76
        | (rand >> 68) << 64
        | 0b10 << 62
        | (rand & (1 << 62) - 1)
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
