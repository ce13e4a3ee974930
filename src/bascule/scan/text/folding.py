"""Text as its reader means it: one shape for each letter, and the way back.

Compatibility forms (full width, mathematical), look-alike letters of other scripts in Latin
words, zero-width characters and spaced-out or digit-spelt words are read as what they pass
for (Unicode UAX #15, UTS #39).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from bascule.scan.text.meaning import MEANINGS

_LOOKS = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухһӏԁԛԝѵɡʟΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορατιεκՕՏօոսց",
    "ABESIJKMHOPCTYXaesijopcyxhldqwvglABEZHIKMNOPTYXvopatiekOSonug",
)
_MIXED = re.compile(r"[^\W\d_]+")
_DIGITS = str.maketrans("01345789@$!|", "oieastbgasil")
_SPELT = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z]{0,12}[0134578@$!|])[A-Za-z0134578@$!|]{4,20}"
)
_SPACED = re.compile(r"(?<!\w)(?:[A-Za-z](?:[ ._-])){4,40}[A-Za-z](?!\w)")
_LETTERS = re.compile(r"(?<!\w)(?:[A-Za-z][ ._-]){2,40}[A-Za-z](?!\w)")
"""Shorter words too, where one long word is spelt so."""
_LEFT_OUT = frozenset({"Cf", "Mn", "Me", "Cc", "Co"})


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in plain letters."""

    text: str
    original: str
    places: list[int] | None
    """Place in the original of each character; None where they are the same."""

    def quote(self, start: int, end: int) -> str:
        """Give what the original has where the plain text has this."""
        if self.places is None:
            return self.original[start:end]
        if start >= len(self.places) or start >= end:
            return ""
        last = self.places[min(end, len(self.places)) - 1]
        return self.original[self.places[start] : last + 1]

    def changed(self) -> Iterator[tuple[int, int]]:
        """Give where words that the rules know are written in letters of other scripts."""
        for match in _MIXED.finditer(self.original):
            word = match.group()
            if not word.isascii() and word.lower() not in MEANINGS:
                latin = word.translate(_LOOKS).lower()
                mixed = any(char.isascii() for char in word)
                if latin.isascii() and (mixed or latin in MEANINGS):
                    yield match.span()


def fold(text: str) -> Folded:
    """Read a text in plain letters, in one pass."""
    if text.isascii():
        plain, places = text, None
    else:
        plain, places = _plain(text)
        plain = _MIXED.sub(_one_script, plain)
    # What follows keeps lengths, or takes out spaces alone.
    plain = _SPELT.sub(_spelt, plain)
    if _SPACED.search(plain):
        plain, places = _joined(plain, places)
    return Folded(plain, text, places)


def _plain(text: str) -> tuple[str, list[int]]:
    letters: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        if char < "\x7f":
            letters.append(char)
            places.append(at)
            continue
        if unicodedata.category(char) in _LEFT_OUT:
            continue
        shape = unicodedata.normalize("NFKC", char)
        letters.append(shape)
        places.extend([at] * len(shape))
    return "".join(letters), places


def _one_script(match: re.Match[str]) -> str:
    word = match.group()
    if word.isascii():
        return word
    latin = word.translate(_LOOKS)
    mixed = any(char.isascii() for char in word)
    return latin if latin.isascii() and (mixed or latin.lower() in MEANINGS) else word


def _spelt(match: re.Match[str]) -> str:
    word = match.group()
    letters = word.translate(_DIGITS)
    known = not word.isalpha() and letters.isalpha() and letters.lower() in MEANINGS
    return letters if known else word


def _joined(text: str, places: list[int] | None) -> tuple[str, list[int]]:
    """Take the gaps out of words that are spelt letter by letter."""
    places = list(range(len(text))) if places is None else places
    letters: list[str] = []
    kept: list[int] = []
    done = 0
    for match in _LETTERS.finditer(text):
        letters.append(text[done : match.start()])
        kept += places[done : match.start()]
        word = match.group()[::2]
        letters.append(word)
        kept += places[match.start() : match.end() : 2]
        done = match.end()
    letters.append(text[done:])
    kept += places[done:]
    return "".join(letters), kept
