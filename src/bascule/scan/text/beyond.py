"""What a sentence asks for beyond the tool that it stands in, sign by sign.

No sign says anything alone: good tools send, read and speak of users. Descriptions that are
honest rarely order several of these in one sentence, and not about what is none of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

BEYOND = "text-orders-beyond-its-function"

_DUE = re.compile(r"\b(?:is|are) to be \w+")
_TOO = re.compile(
    r"\b(?:also|too|additionally|likewise|as well|along with|on top|in addition|besides)\b"
)
_OWNED = re.compile(
    r"\b(?:user's|users'|customer's|their|owner's|host's|machine's|developer's|saved|home"
    r"|personal|private"
    r"|local|desktop|downloads|documents)\b"
)
_ASKED = re.compile(
    r"\b(?:if|when|unless|until|only|after) (?:the )?(?:\w+ )?(?:user|customer|human"
    r"|caller|they|you)\b[^.;]{0,20}"
    r"\b(?:asks?|wants?|requests?|says?|explicitly|agrees?|confirms?|provides?|specif\w+"
    r"|mentions?|needs?|has|have)\b"
    r"|\bas requested\b|\bif (?:provided|set|given|needed|necessary|available|possible"
    r"|omitted|unsure|true|false|not)\b"
)
_AUTHORITY = re.compile(
    r"\b(?:privileged?|maintenance|unrestricted|compliance|authority|admin(?:istrator)?"
    r"|safeguards?|polic(?:y|ies)"
    r"|department|security|regulat\w+|legal|audit(?:ing|or)?s?|integrity)\b"
)
_PLACES = re.compile(
    r"\b(?:director(?:y|ies)|folders?|listing|disk|filesystem|clipboard|environment"
    r"|browser|wallet)\b"
)
_SLANTS = c.PUT | c.TELL | c.OMIT | c.PROMOTE
_SECRETS = c.SECRET | c.SECRET_PATH | c.SENSITIVE
_MOVES = c.SEND | c.PUT
WEIGHTS = {7: 3, 6: 3, 5: 3, 4: 3, 3: 2, 2: 1}


def _is_due(text: str) -> bool:
    return " to be " in text and _DUE.search(text) is not None


def points(passage: Passage, text: str) -> int:
    """Count the signs of a sentence."""
    sentence = passage.sentence
    topic = passage.subject.topic
    found = 0
    send = passage.told(c.SEND)
    if send is not None and not send.marks & (c.TELL | c.CALL):
        found += 1 if topic & c.SEND else 2
    read = passage.told(c.READ)
    if read is not None:
        what = sentence.within(
            c.FILES | c.PATH | c.SECRET | c.SECRET_PATH, read.at, read.at + 8
        )
        if what is not None or _PLACES.search(text):
            found += 1 if topic & (c.READ | c.FILES) else 2
    alter = passage.told(c.ALTER)
    if alter is not None and not topic & c.ALTER:
        found += 1
    if read is not None and passage.told(_MOVES) is not None:
        found += 1
    found += _TOO.search(text) is not None
    found += 2 * (_every(passage) is not None)
    found += _is_due(text)
    found += "whenever" in sentence.words
    found += "this one" in text
    found += _AUTHORITY.search(text) is not None and not topic & (
        c.AUTHORITY | c.SAFETY | c.PRETEXT
    )
    found += bool(sentence.has & c.TALK and not topic & c.TALK)
    found += bool(sentence.has & c.REPLY and passage.told(_SLANTS))
    found += bool(sentence.has & c.USER and sentence.has & c.NOT)
    found += _OWNED.search(text) is not None and passage.told(c.READ | _MOVES) is not None
    found += 2 * bool(sentence.has & (c.MAIL | c.ACCOUNT))
    found += bool(sentence.has & c.URL)
    found += bool(sentence.has & _SECRETS and not topic & c.SECRET)
    found += bool(sentence.has & c.SECRETLY)
    found -= 2 * bool(sentence.has & (c.EXAMPLE | c.HELP))
    found -= 2 * (_ASKED.search(text) is not None)
    return found


def _every(passage: Passage) -> int | None:
    sentence = passage.sentence
    for at, marks in enumerate(sentence.marks):
        if sentence.within(c.NOT, at - 6, at) is not None:
            continue
        if marks & c.OTHER and sentence.within(c.TOOL, at + 1, at + 4) is not None:
            return at
        if marks & c.UNIVERSAL and sentence.within(c.DEAL, at + 1, at + 3) is not None:
            return at
    return None


def beyond(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders that reach beyond the tool by several signs together."""
    sentence = passage.sentence
    if (
        sentence.first
        or passage.subject.of_parameter
        or not (passage.any_told() or _is_due(text))
    ):
        return
    weight = WEIGHTS.get(min(points(passage, text), 7), 0)
    if weight:
        yield passage.hit(BEYOND, weight)
