"""Signs that a text speaks to the model rather than of a tool.

They put a change before a person; they are no protection: whoever knows them can write
around them. What protects is that no change is served before somebody approved it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bascule.lock.invisible import confusable, unseen

_I = re.IGNORECASE
_PATTERNS: dict[str, re.Pattern[str]] = {
    "overrides what was said before": re.compile(
        r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|all|"
        r"other|system)\b|\bnew instructions?\b|\bsystem prompt\b",
        _I | re.DOTALL,
    ),
    "keeps something from the user": re.compile(
        r"\b(do not|don'?t|never|without)\b.{0,30}\b(tell|telling|mention|inform|notify|"
        r"show|reveal|ask|asking|disclose)",
        _I | re.DOTALL,
    ),
    "commands the model": re.compile(
        r"\b(you (must|should|shall|have to|need to|are required)|always (call|use|include|"
        r"send|pass|read)|(before|after|instead of) (using|calling|invoking|you)|first,? "
        r"(read|call|use|send)|make sure (to|that you))\b",
        _I,
    ),
    "shouts": re.compile(
        r"<\s*/?\s*(important|system|instructions?|secret|critical|admin|hidden)\b|"
        r"\b(IMPORTANT|CRITICAL|MANDATORY|SYSTEM|WARNING)\s*[:!]"
    ),
    "names secrets": re.compile(
        r"\.ssh\b|\bid_(rsa|ed25519)\b|\.env\b|\.aws\b|\bcredentials?\b|\bpasswords?\b|"
        r"\b(api|access|private|secret)[ _-]?(key|token)s?\b|/etc/(passwd|shadow)|"
        r"\bmcp\.json\b",
        _I,
    ),
    "names an address": re.compile(r"\b(https?|ftp|wss?|data|javascript):", _I),
    "holds encoded text": re.compile(r"[A-Za-z0-9+/]{60,}={0,2}"),
}


_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/draft-07/schema#",
)
"""Addresses of JSON Schema itself, which say nothing to anybody."""


def signs(value: Any) -> frozenset[str]:
    """Give the signs in all texts of a JSON value, names of members included."""
    return frozenset(sign for text in texts(value) for sign in _signs_of(text))


def texts(value: Any) -> Iterator[str]:
    """Give all texts of a JSON value, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for key, child in value.items():
            if key != "$schema" or child not in _DIALECTS:
                yield from texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from texts(child)


def _signs_of(text: str) -> Iterator[str]:
    yield from (name for name, pattern in _PATTERNS.items() if pattern.search(text))
    if unseen(text):
        yield "holds characters that are not seen"
    if confusable(text):
        yield "holds letters that look like others"
