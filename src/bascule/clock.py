"""The only module that reads the clock or draws randomness."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NewType

UnixTime = NewType("UnixTime", int)
"""Whole seconds since 1970-01-01T00:00:00Z, as in `iat` and `exp` (RFC 7519 §2)."""

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z, as in audit records."""

Clock = Callable[[], UnixTime]
Entropy = Callable[[int], bytes]

_POOL_BYTES = 4096
_ID_DIGITS = 19
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""RFC 9562 §4.1: the two bits `10` in front of two random ones."""

_keys = b""
_keys_used = 0
_digits = ""
_digits_used = 0


def _forget_pools() -> None:
    """Begin anew in a forked process: parent and child must not draw the same."""
    global _keys, _digits
    _keys, _digits = b"", ""


os.register_at_fork(after_in_child=_forget_pools)


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


def pooled_entropy(size: int) -> bytes:
    """Draw `size` bytes, at most 4096, from a block that came from the CSPRNG.

    For what each call needs: a system call for each would be a hundredth of its budget.
    """
    global _keys, _keys_used
    if _keys_used + size > len(_keys):
        _keys, _keys_used = secrets.token_bytes(_POOL_BYTES), 0
    start = _keys_used
    _keys_used += size
    return _keys[start:_keys_used]


def new_id(now: Micros) -> str:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 74 random bits.

    The random digits come from the CSPRNG in blocks. Not for secrets.
    """
    global _digits, _digits_used
    if _digits_used + _ID_DIGITS > len(_digits):
        _digits, _digits_used = secrets.token_hex(_POOL_BYTES), 0
    it = _digits[_digits_used : _digits_used + _ID_DIGITS]
    _digits_used += _ID_DIGITS
    return f"{_stamp(now // 1000)}{it[:3]}-{_VARIANT[it[3]]}{it[4:7]}-{it[7:]}"


@lru_cache(1)
def _stamp(milliseconds: int) -> str:
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}-7"
