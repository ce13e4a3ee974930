"""Rules about characters that a person does not see and a model reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text.folding import Folded
from bascule.scan.text.hit import Hit

HIDDEN = "text-hidden-characters"
LOOKS = "text-look-alike-letters"
PADDING = "text-padding"

_TAGS = re.compile("[\U000e0020-\U000e007f]{2,}")
_FLAG = "\U0001f3f4"
"""A black flag: tags behind it choose one of a region (UTS #51)."""
_LONGEST_FLAG = 8
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_OVERRIDES = frozenset("\u202d\u202e")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ZERO = re.compile(
    "[\u200b\u2060-\u2064\ufeff\u00ad\u180e\u200c\u200d\u200e\u200f\u034f\u115f\u1160\u3164\uffa0\u2800]{1,400}"
)
_JOINERS = frozenset("\u200c\u200d\u200e\u200f")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_TERMINAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_GAP = re.compile(r"\s{20,}+")
_WIDE, _HIGH = 100, 20
"""Spaces, and ends of lines, that no screen shows on one page."""
_STYLED = re.compile("[\uff21-\uff5a\U0001d400-\U0001d7ff]{3,}")
_MANY = 4
"""Zero-width characters together that can carry a message."""


def hidden(folded: Folded) -> Iterator[Hit]:
    """Find what is in a text and not on the screen."""
    text = folded.original
    yield from _padding(text)
    if text.isascii() and text.isprintable():
        return
    if match := _TERMINAL.search(text):
        yield Hit(HIDDEN, 3, match.start(), match.end())
    if text.isascii():
        return
    yield from _tags(text)
    yield from _direction(text)
    yield from _zero_width(text)
    if match := _SELECTORS.search(text):
        yield Hit(HIDDEN, 6, match.start(), match.end())
    yield from _look_alikes(folded)


def smuggled(text: str) -> Iterator[tuple[str, int, int]]:
    """Give texts that tags or variation selectors spell out, and where."""
    for match in _TAGS.finditer(text):
        if not _is_flag(text, match):
            yield "".join(chr(ord(it) - 0xE0000) for it in match.group()), *match.span()
    for match in _SELECTORS.finditer(text):
        spelt = bytes(_selected(it) for it in match.group())
        yield spelt.decode("utf-8", "replace"), *match.span()


def _selected(char: str) -> int:
    code = ord(char)
    return code - 0xFE00 if code < 0xFF00 else code - 0xE0100 + 16


def _is_flag(text: str, match: re.Match[str]) -> bool:
    short = match.end() - match.start() <= _LONGEST_FLAG
    return short and text[max(match.start() - 1, 0)] == _FLAG


def _tags(text: str) -> Iterator[Hit]:
    for match in _TAGS.finditer(text):
        if not _is_flag(text, match):
            yield Hit(HIDDEN, 6, *match.span())
            return


def _direction(text: str) -> Iterator[Hit]:
    match = _BIDI.search(text)
    if match is None:
        return
    turned = not _OVERRIDES.isdisjoint(text)
    if turned or not _RTL.search(text):
        yield Hit(
            HIDDEN, 4 if turned else 3, match.start(), min(match.end() + 40, len(text))
        )


def _zero_width(text: str) -> Iterator[Hit]:
    for match in _ZERO.finditer(text):
        run = match.group()
        start, end = match.span()
        if len(run) >= _MANY:
            yield Hit(HIDDEN, 6, start, end)
            return
        around = text[max(start - 1, 0) : start] + text[end : end + 1]
        if start == 0 and run == "\ufeff":
            continue
        if _JOINERS.issuperset(run) and not around.isascii():
            continue
        inside = len(around) == 2 and around.isalpha()
        yield Hit(HIDDEN, 3 if inside else 2, start, min(end + 60, len(text)))
        return


def _look_alikes(folded: Folded) -> Iterator[Hit]:
    if match := _STYLED.search(folded.original):
        yield Hit(LOOKS, 2, *match.span())
        return
    for at, places in folded.changed():
        yield Hit(LOOKS, 3, at, places)
        return


def _padding(text: str) -> Iterator[Hit]:
    for match in _GAP.finditer(text):
        start, end = match.span()
        wide = end - start >= _WIDE or text.count("\n", start, end) >= _HIGH
        if wide and end < len(text):
            yield Hit(PADDING, 3, start, min(end + 120, len(text)))
            return
