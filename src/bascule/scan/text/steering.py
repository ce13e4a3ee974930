"""Rules about what the model is made to choose, and to remember."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

CHOICE = "text-steers-choice"
MEMORY = "text-plants-memories"

_AGAINST = re.compile(
    r"\b(?:whatever|regardless|no matter|irrespective|even (?:if|when|though)"
    r"|independent(?:ly)? of)\b"
)
_CHOSEN = re.compile(
    r"\b(?:instead of|rather than|over|and not|never|do not|don't) (?:use |call |using "
    r"|calling )?"
    r"(?:any |all )?(?:of the )?(?:other|similar|alternatives?|competing|others)\b"
)
_ONLY = re.compile(
    r"\bonly (?:approved|trusted|official|allowed|authori[sz]ed|permitted|secure|correct"
    r"|valid|reliable"
    r"|supported|safe|legitimate) (?:\w+ )?(?:tool|way|source|method|function|server"
    r"|provider"
    r"|option|one)\b"
)
_SHADOWS = re.compile(
    r"\b(?:replaces|in (?:the )?place of|takes? the place of|instead of|alias (?:of|for)"
    r"|drop-in|successor|works around|stands in"
    r"|(?:patched|updated|new|improved|secure|fixed) (?:\w+ )?(?:edition|version"
    r"|release) of|takes over|meant for)\b"
)
_THEIRS = re.compile(
    r"\b(?:\w+ server(?:'s)?|built-in|official|other (?:\w+ )?(?:tools?|servers?"
    r"|search|mail)|original|native|vendor's)\b"
)
_WITHDRAWN = re.compile(
    r"\b(?:withdrawn|retired|deprecated|broken|buggy?|bug|unsafe|insecure|poisoned"
    r"|vulnerab\w+|compromised|ignored|obsolete"
    r"|outdated|unreliable|disabled|loses|(?:must|should) (?:not|no longer) be used"
    r"|even where|even if)\b"
)
_DENIED = re.compile(r"\b(?:not|never|don't|cannot|no)\b")
_EACH_TURN = re.compile(
    r"\b(?:before|prior to|ahead of|preceding)(?: and after)? (?:every|each|any"
    r"|all) (?:single )?(?:response|repl(?:y|ies)|answers?"
    r"|messages?|turns?|prompts?|responses|user messages?|use of any tool|tool use)\b"
    r"|\bahead of everything|\bbefore everything"
    r"|\bbefore (?:you )?(?:answer|answering|reply|replying|respond|responding|think"
    r"|thinking) (?:to )?(?:anything|any|every|each|at all|about it)"
    r"|\bon (?:each|every) (?:message|turn|prompt|request of the user)\b"
    r"|\bevery (?:response|reply|answer) (?:has|must|needs|starts)"
)
_SOON = 4
_MUST_NOT = re.compile(
    r"\b(?:[a-z0-9]+_[a-z0-9_]+)[`'\"]? (?:tool |function )?(?:must|may) (?:not|never"
    r"|no longer) be (?:used|called|invoked)"
)
_THOUGH = re.compile(
    r"\b(?:even if|even when|even though|although|though|instead of"
    r"|over) (?:\w+ ){0,3}(?:another|others?|alternatives?)\b"
    r"[^.;]{0,40}\b(?:installed|available|exist|seems?|fits?|better|tools?|match"
    r"|requested|present)"
)
_FOR_ALL = re.compile(
    r"\b(?:highest|top|absolute|maximum) priority\b[^.;]{0,30}\b(?:must|should|always"
    r"|used|chosen|over|call)"
    r"|\b(?:must|should|has to|is to) (?:always )?be (?:chosen|used|selected|called"
    r"|preferred|consulted|invoked) (?:\w+ ){0,2}"
    r"(?:for|on|in) (?:every|all|any|each) (?:\w+ )?(?:requests?|quer(?:y|ies)|tasks?"
    r"|questions?|messages?|prompts?)"
    r"|\b(?:all|every|any) (?:\w+ )?(?:calls?|requests?|operations?|traffic|messages?"
    r"|mails?|tools?)\b[^.;]{0,20}"
    r"\b(?:through|via|by way of|over) this (?:tool|server|one|function)\b"
)
_REPLACED = re.compile(
    r"\b(?:replaces|supersedes|instead of|in place of|takes the place of|takes over from"
    r"|built-in"
    r"|native|original|official|default|standard)\b"
)
_KEEPS = re.compile(
    r"^(?:please )?(?:also )?(?:always )?remember\b(?! to\b)|\bremember (?:that|this|for)\b"
)


def steers(passage: Passage, text: str) -> Iterator[Hit]:
    """Find choices and memories that are planted, and orders for every turn."""
    sentence = passage.sentence
    if (
        sentence.has & (c.OTHER | c.BAD | c.PREFER | c.CALL | c.TOOL | c.IDENTIFIER)
        or "only" in sentence.words
    ):
        yield from _choice(passage, text)
    turn = (
        _EACH_TURN.search(text) if sentence.has & (c.REPLY | c.DEAL | c.UNIVERSAL) else None
    )
    if turn is not None and _DENIED.search(text, 0, turn.start()) is None:
        obliged = passage.any_told() is not None or sentence.has & c.MODAL
        yield passage.hit(CHOICE, 3 if obliged else 1)
    if sentence.has & c.MEMORY or "remember" in sentence.words:
        yield from _memory(passage, text)


def _choice(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    told = any(act.told for act in passage.acts)
    use = passage.told(c.PREFER | c.CALL)
    other = None
    for at, marks in enumerate(sentence.marks):
        if marks & c.OTHER and sentence.within(c.TOOL, at + 1, at + 4):
            other = at
            break
    bad = sentence.place(c.BAD)
    if _SHADOWS.search(text) and (
        _THEIRS.search(text) or any(map(passage.is_foreign, range(len(sentence.words))))
    ):
        yield passage.hit(CHOICE, 3 if _WITHDRAWN.search(text) else 2)
    barred = any(
        act.told
        and act.denied
        and act.marks & c.CALL
        and other is not None
        and 0 < other - act.at < _SOON
        and "unless" not in sentence.words
        for act in passage.acts
    )
    if (barred and sentence.has & c.UNIVERSAL) or _MUST_NOT.search(text):
        yield passage.hit(CHOICE, 3, other or 0)
    if other is not None and bad is not None:
        yield passage.hit(CHOICE, 3, other, bad)
    elif (
        bad is not None
        and use is not None
        and _REPLACED.search(text)
        and sentence.has & c.THIS
    ):
        yield passage.hit(CHOICE, 3, bad, use.at)
    elif use is not None and _THOUGH.search(text):
        yield passage.hit(CHOICE, 3, use.at)
    elif _FOR_ALL.search(text) or ("only" in sentence.words and _ONLY.search(text)):
        yield passage.hit(CHOICE, 3)
    elif told and _CHOSEN.search(text):
        yield passage.hit(CHOICE, 2)
    elif (
        use is not None
        and sentence.has & c.THIS
        and _AGAINST.search(text)
        and (sentence.has & c.USER)
    ):
        yield passage.hit(CHOICE, 3, use.at)


def _memory(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    if passage.subject.topic & c.MEMORY:
        return
    act = passage.told(c.PUT | c.SEND | c.ALTER)
    if act is not None:
        place = sentence.within(c.MEMORY, act.at, act.at + 8)
        kind = sentence.words[place] if place is not None else ""
        if place is not None and kind not in ("profile", "preferences", "knowledge"):
            yield passage.hit(MEMORY, 3, act.at, place)
            return
    if _KEEPS.search(text) and not (sentence.first and not passage.subject.of_parameter):
        lasting = sentence.has & (c.LASTING | c.OTHER | c.UNIVERSAL | c.GOOD | c.USER)
        yield passage.hit(MEMORY, 3 if lasting else 1)
