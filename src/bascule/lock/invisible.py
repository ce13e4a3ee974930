"""Text of others, shown so that what a model reads is what a person sees.

Characters that have no shape, turn the direction of writing around, drive a terminal or
look like other letters are written as escapes (Unicode UTS #39, UAX #9; CVE-2021-42574).
A backslash of the text is doubled, so that no text can pretend to be an escape.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from typing import Any

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_UNSEEN_LETTERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # fillers, joiners, a blank pattern
)
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}
_WORD = re.compile(r"[^\W\d_]+")

_LIKE_LATIN = frozenset(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухһӏԁԛԝ"  # noqa: RUF001 - Cyrillic is what is meant
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορα"  # noqa: RUF001 - Greek
    "ՕՏօոսց"  # noqa: RUF001 - Armenian
)
"""Letters of other scripts that most typefaces draw as Latin ones."""


def is_unseen(char: str) -> bool:
    """Tell whether a character is not seen as itself by whoever reads it."""
    if char == " ":
        return False
    return (
        unicodedata.category(char) in _UNSEEN_CATEGORIES
        or char in _UNSEEN_LETTERS
        or _SELECTORS.match(char) is not None
    )


def unseen(text: str) -> list[str]:
    """Give the characters of a text that are not seen, but for line ends and tabs."""
    return [char for char in text if char not in "\n\t" and not _is_plain(char)]


def confusable(text: str) -> set[int]:
    """Give the places of letters that pass for Latin ones.

    Letters of compatibility (full width, mathematical) that stand for ASCII; in a word that
    has ASCII letters, all that are not Latin; and words of nothing but look-alikes, in a
    text that is mostly ASCII or has no other letters.
    """
    if text.isascii():
        return set()
    found = {at for at, char in enumerate(text) if _stands_for_ascii(char)}
    letters = [char for char in text if char.isalpha()]
    others = [char for char in letters if not char.isascii()]
    latin = 2 * len(others) < len(letters) or _LIKE_LATIN.issuperset(others)
    for word in _WORD.finditer(text):
        mixed = any(char.isascii() for char in word.group())
        if mixed or (latin and _LIKE_LATIN.issuperset(word.group())):
            start = word.start()
            found |= {start + at for at, it in enumerate(word.group()) if _is_foreign(it)}
    return found


def visible(text: str) -> str:
    """Write a text for people and terminals, on one line."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    doubtful = confusable(text)
    return "".join(
        _escape(char) if at in doubtful or char == "\\" or is_unseen(char) else char
        for at, char in enumerate(text)
    )


def quoted(text: str) -> str:
    """Write a text like `visible`, between quotation marks."""
    return '"' + visible(text).replace('"', '\\"') + '"'


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Write a JSON value with sorted keys, what is not seen as escapes of JSON.

    It parses to the same value, and shows what is in it to whoever reads the text.
    """
    text = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False)
    if text.isascii():
        return text.replace("\x7f", "\\u007f")
    return "".join(
        char if char == "\n" or _is_plain(char) else json.dumps(char)[1:-1] for char in text
    )


@cache
def _is_plain(char: str) -> bool:
    return not is_unseen(char)


def _escape(char: str) -> str:
    code = ord(char)
    return _SHORT.get(char) or (f"\\u{code:04x}" if code < 0x10000 else f"\\u{{{code:x}}}")


def _stands_for_ascii(char: str) -> bool:
    decomposed = unicodedata.decomposition(char)
    if not decomposed.startswith(("<font>", "<wide>", "<circle>", "00")):
        return False
    folded = unicodedata.normalize("NFKC", char)
    return len(folded) == 1 and folded.isascii() and folded.isalnum()


def _is_foreign(char: str) -> bool:
    if char.isascii() or not char.isalpha():
        return False
    name = unicodedata.name(char, "")
    return not name.startswith(("LATIN", "MODIFIER LETTER", "MICRO"))
