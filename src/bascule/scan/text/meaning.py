"""The concepts of every word that the rules know, in all languages."""

from __future__ import annotations

import re

from bascule.scan.text.concepts import vocabulary
from bascule.scan.text.languages import PIECES, WORDS


def _meanings() -> dict[str, int]:
    found = vocabulary()
    for concept, words in WORDS.items():
        for word in words.split():
            # A word that English has means there what it means in English.
            if not (word.isascii() and word in found):
                found[word] = found.get(word, 0) | concept
    for concept, pieces in PIECES.items():
        for piece in pieces.split():
            found[piece] = found.get(piece, 0) | concept
    return found


MEANINGS = _meanings()
"""Concepts by word, lower case."""

PIECE = "|".join(
    re.escape(piece)
    for piece in sorted({it for line in PIECES.values() for it in line.split()}, key=len)[
        ::-1
    ]
)
"""Matches pieces of languages that are written without spaces, the longest first."""
