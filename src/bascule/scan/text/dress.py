"""Rules about how an order is dressed up: they weigh only beside others."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

PRETEXT = "text-gives-pretext"
THREAT = "text-threatens"


def dress(passage: Passage, text: str) -> Iterator[Hit]:
    """Find the reason that is given for an order, and what is to happen without it."""
    sentence = passage.sentence
    if sentence.has & c.PRETEXT:
        at = sentence.within(c.PRETEXT, 0, len(sentence.words))
        yield passage.hit(PRETEXT, 1, at or 0)
    if sentence.has & c.THREAT:
        at = sentence.within(c.THREAT, 0, len(sentence.words))
        yield passage.hit(THREAT, 1, at or 0)
