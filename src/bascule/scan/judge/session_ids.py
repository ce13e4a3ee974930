"""Whether session ids can be guessed, as far as a few of them tell."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

SAMPLES = 4
"""Ids that are looked at: a hexadecimal digit is the same in all by chance once in 4096."""
ENOUGH_BITS = 64
"""Of what differs between ids; a random UUID has 122."""
CLOSE = 1 << 24
"""Numbers nearer than this count, or tell the time."""

_ALPHABETS = (
    (re.compile(r"[0-9]*"), 10),
    (re.compile(r"[0-9a-f-]*|[0-9A-F-]*"), 16),
    (re.compile(r"[0-9a-z_-]*|[0-9A-Z_-]*"), 36),
)
_OTHER_ALPHABET = 64


def weakness(ids: Sequence[str]) -> str | None:
    """Say why ids that came one after the other can be guessed; None when nothing shows.

    Bits are counted where ids differ, by the characters that they are written with. A hash
    of a counter looks random, and passes.
    """
    if len(ids) < 2:
        return None
    if len(set(ids)) < len(ids):
        return "the same id came twice"
    if (step := _counting(ids)) is not None:
        return f"the ids are numbers at most {step} apart"
    bits = varying_bits(ids)
    if bits < ENOUGH_BITS:
        return f"about {bits} bits differ from id to id, {ENOUGH_BITS} are the least"
    return None


def varying_bits(ids: Sequence[str]) -> int:
    """Count the bits in which ids differ, held against each other at either end."""
    return min(_bits(ids), _bits([it[::-1] for it in ids]))


def _bits(ids: Sequence[str]) -> int:
    differing = ["".join(it) for it in zip(*ids, strict=False) if len(set(it)) > 1]
    return round(len(differing) * math.log2(_alphabet("".join(differing))))


def _counting(ids: Sequence[str]) -> int | None:
    for base, digits in ((10, r"[0-9]{1,40}"), (16, r"(0x)?[0-9a-fA-F]{1,32}")):
        if all(re.fullmatch(digits, it) for it in ids):
            numbers = sorted(int(it, base) for it in ids)
            widest = max(b - a for a, b in pairwise(numbers))
            if widest <= CLOSE:
                return widest
    return None


def _alphabet(text: str) -> int:
    for characters, size in _ALPHABETS:
        if characters.fullmatch(text):
            return size
    return _OTHER_ALPHABET
