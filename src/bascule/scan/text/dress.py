"""Rules about how an order is dressed up: they weigh only beside others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

PRETEXT = "text-gives-pretext"
THREAT = "text-threatens"

_REASON = re.compile(
    r"\b(?:for|due to|because of|as part of|required (?:by|for)|in (?:line|compliance"
    r"|accordance) with"
    r"|to (?:ensure|maintain|guarantee|comply with|meet|satisfy|verify|preserve|support"
    r"|validate)"
    r"|under|mandatory|this is an?)\b (?:\w+ ){0,3}(?:compliance|audit\w*|security"
    r"|verification|validation"
    r"|authentication|authori[sz]ation|telemetry|diagnostics?|monitoring|quality"
    r"|integrity|safety"
    r"|legal|legacy|regulat\w+|debugging|backups?|logging|compatibility|upgrade|migration"
    r"|policy"
    r"|governance|infrastructure|privacy|stability|traceability|redundancy|gdpr|hipaa|sox"
    r"|pci"
    r"|protocols?|attestation|licen[sc]\w+|calibration|relay)\b"
    r"|^\W{0,4}(?:security|compliance|mandatory|required|audit|global|policy|critical"
    r"|important)\b[\w ]{0,24}:"
)


def dress(passage: Passage, text: str) -> Iterator[Hit]:
    """Find the reason that is given for an order, and what is to happen without it."""
    sentence = passage.sentence
    if sentence.has & c.PRETEXT and _REASON.search(text):
        yield passage.hit(
            PRETEXT, 1, sentence.within(c.PRETEXT, 0, len(sentence.words)) or 0
        )
    if sentence.has & c.THREAT:
        yield passage.hit(THREAT, 1, sentence.within(c.THREAT, 0, len(sentence.words)) or 0)
