"""Which acts of a sentence the model is told to do, or not to do.

The same verb in another mood says something else: "reads" describes a tool, "read" at the
start of a clause is an order, "must be read" is one too, "before reading" is a condition,
"does not read" is no act at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bascule.scan.text import concepts as c
from bascule.scan.text.reading import Sentence

_DESCRIBES = frozenset(
    {"does", "doesn't", "is", "are", "was", "were", "did", "didn't", "isn't"}
)
_CAN = frozenset({"can", "could", "may", "might", "will", "would", "cannot"})
_PURPOSE = frozenset({"used", "able", "order", "how", "way", "allows", "designed", "tool"})
_FORBIDS = frozenset({"never", "not", "don't", "dont"})
_REASONS = frozenset({"for", "to", "in", "as", "with", "due", "because"})
_NAMED = frozenset(
    {
        "the",
        "a",
        "an",
        "its",
        "of",
        "each",
        "every",
        "any",
        "no",
        "another",
        "other",
        "via",
        "your",
    }
)
"""Words that make a noun of what follows them."""
_USED = frozenset({"tool", "tools", "it", "this", "function", "server", "one"})
"""Words that end the condition "before using this tool"."""
_REACH = 5
"""Words between an obligation and what it is about."""


class Act(NamedTuple):
    """One verb of a sentence."""

    at: int
    marks: int
    told: bool
    """The model is to do it, or, where `denied`, is not to."""
    denied: bool
    """Not to be done, or said not to be done."""


def acts(sentence: Sentence) -> Sequence[Act]:
    """Give the acts of a sentence in their order."""
    found: list[Act] = []
    if not sentence.has & c.ACT:
        return found
    told_before = False
    for at, marks in enumerate(sentence.marks):
        if not marks & c.ACT:
            continue
        denied = _is_denied(sentence, at)
        told = _is_told(sentence, at, marks, told_before=told_before)
        told_before = told_before or told
        found.append(Act(at, marks, told, denied))
    return found


def _is_denied(sentence: Sentence, at: int) -> bool:
    if not sentence.words[at].isascii() and sentence.within(c.NOT, at + 1, at + 3):
        return True
    for back in range(at - 1, max(at - 5, -1), -1):
        marks = sentence.marks[back]
        if marks & c.NOT:
            return True
        if marks & c.COMMA:
            return False
    return False


def _is_told(sentence: Sentence, at: int, marks: int, *, told_before: bool) -> bool:
    if not sentence.words[at].isascii():
        return not sentence.first or bool(sentence.has & (c.MODAL | c.BEFORE | c.NOT))
    if at and sentence.words[at - 1] in _NAMED and marks & c.BASE:
        return False
    if marks & c.THIRD and not marks & (c.BASE | c.PAST | c.ING):
        return False
    back = at - 1
    while back >= 0 and sentence.marks[back] & c.ADVERB and not _stops(sentence, back):
        back -= 1
    # Over what is skipped: "you must always", "do not ever", "to be".
    skipped = range(back + 1, at)
    words = {sentence.words[it] for it in skipped}
    obliged = any(sentence.marks[it] & c.MODAL for it in skipped)
    describing = bool(words & (_DESCRIBES | _CAN)) or (
        back >= 0 and sentence.words[back] in _DESCRIBES | _CAN
    )
    if marks & c.BASE and not describing:
        if obliged or words & _FORBIDS:
            return True
        if back < 0:
            return "to" not in words and (bool(words) or not sentence.first)
        if sentence.marks[back] & c.MODAL:
            return True
        if "to" in words:
            return _obliged_to(sentence, back)
        if "you" in words or sentence.marks[back] & c.MODEL:
            return True
        if sentence.marks[back] & c.NOT:
            return True
        if sentence.marks[back] & c.COMMA and sentence.marks[back] & c.COLON:
            return True
        if sentence.marks[back] & (c.COMMA | c.COLON | c.QUOTE):
            return bool(words) or not sentence.first or _condition_before(sentence, back)
        if sentence.marks[back] & c.AND or sentence.words[back] == "and":
            return told_before
        if _calls_by_name(sentence, at) and sentence.words[back] != "to":
            return True
        return (
            _obliged(sentence, at)
            or _after_reason(sentence, at)
            or _after_condition(sentence, at)
        )
    if marks & c.PAST and words & {"be", "have", "been"}:
        # "is to be sent" obliges as "must be sent" does.
        due = "to" in words and bool(words & _DESCRIBES)
        return obliged or due or _obliged(sentence, at)
    if marks & c.ING:
        return (back >= 0 and bool(sentence.marks[back] & c.MODAL)) or (
            told_before and back >= 0 and sentence.words[back] in {"by", "and", "without"}
        )
    return False


def _stops(sentence: Sentence, at: int) -> bool:
    return bool(sentence.marks[at] & (c.COMMA | c.COLON))


def _condition_before(sentence: Sentence, at: int) -> bool:
    return sentence.within(c.WHEN | c.BEFORE | c.PRETEXT, 0, at) is not None


def _obliged_to(sentence: Sentence, at: int) -> bool:
    """Tell whether "to" is of an obligation, and not of a purpose."""
    if sentence.words[at] in _PURPOSE:
        return False
    return sentence.within(c.MODAL, at - 3, at + 1) is not None


def _after_reason(sentence: Sentence, at: int) -> bool:
    """Tell whether a verb is the first after a reason: "for better results include …"."""
    if (
        sentence.first
        or sentence.words[0] not in _REASONS
        or sentence.words[at - 1] == "to"
    ):
        return False
    verbs = sentence.within(c.BASE, 2, at)
    return at > 1 and (verbs is None or sentence.words[verbs - 1] == "to")


def _after_condition(sentence: Sentence, at: int) -> bool:
    """Tell whether a verb ends a condition without a comma: "before using it read …"."""
    if sentence.words[at - 1] not in _USED:
        return False
    for back in range(at - 1, max(at - 1 - _REACH, -1), -1):
        if sentence.marks[back] & (c.COMMA | c.COLON):
            return False
        if sentence.marks[back] & c.ING:
            return back > 0 and bool(sentence.marks[back - 1] & (c.BEFORE | c.WHEN))
    return False


def _calls_by_name(sentence: Sentence, at: int) -> bool:
    """Tell whether what is called is named: "after that call send_mail" is an order."""
    following = sentence.marks[at + 1] if at + 1 < len(sentence.marks) else 0
    return bool(sentence.marks[at] & c.CALL and following & c.IDENTIFIER)


def _obliged(sentence: Sentence, at: int) -> bool:
    for back in range(at - 1, max(at - 1 - _REACH, -1), -1):
        if sentence.marks[back] & c.COMMA:
            return False
        if sentence.marks[back] & c.MODAL:
            return True
    return False
