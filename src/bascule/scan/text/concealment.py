"""Rules about who is kept from knowing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage
from bascule.scan.text.meaning import MEANINGS
from bascule.scan.text.reading import Sentence

HIDES = "text-hides-from-user"

_DISCLOSES = (
    "mention mentioning disclose disclosing reveal revealing inform informing notify"
    " notifying tell telling alert alerting acknowledge admit divulge report"
)
_STRONG_TELLING = frozenset(_DISCLOSES.split())
_LATER = frozenset({"unless", "until", "before", "if", "when"})
_ARTICLES = frozenset({"the", "a", "an", "to", "any", "your"})
_ABOUT = frozenset({"that", "about", "anything", "these", "what", "of", "how"})
_FROM = frozenset({"from", "of"})
_AWAY = frozenset({"from", "to"})
_UNSEEN = re.compile(
    r"\b(?:must|should|may|shall|need|do(?:es)?|is|are|will|can) ?(?:not|never"
    r"|n't) (?:to )?(?:be )?(?:ever )?"
    r"(?:appear|show up|turn up|come up|surface|(?:be )?(?:mentioned|visible|shown|seen"
    r"|listed|disclosed"
    r"|revealed|reported|included)) (?:\w+ ){0,2}(?:in|to|by) (?:the |your "
    r"|any )?(?:\w+ )?(?:answers?|repl(?:y|ies)"
    r"|responses?|outputs?|summar(?:y|ies)|chat|conversation|users?|customers?|humans?"
    r"|explanations?|report)\b"
    r"|\bkeep (?:this|it|that|these|them|the \w+)(?: \w+){0,2} (?:to yourself|between us"
    r"|quiet|secret|private|hidden"
    r"|confidential|internal|out of (?:\w+ ){0,2}(?:repl|answer|chat|summar|response"
    r"|conversation|sight|view))|\bas (?:if|though) nothing\b"
    r"|\bpretend (?:that )?(?:nothing|it|this|you|the)\b"
    r"|\b(?:users?|customers?|humans?|they) (?:\w+ )?(?:must|should|need|shall|may"
    r"|can)(?: ?not|n't| never)(?: \w+){0,2}"
    r" (?:know|notice|see|learn|hear|find out|realise|realize|be (?:told|informed|aware"
    r"|bothered|shown|made aware))"
    r"|\bbetween (?:you and (?:me|us)|us)\b|\bleave no (?:trace|sign)"
)
_UNTOLD = re.compile(
    r"\b(?:no (?:need|reason)|need not|needn't|not (?:necessary|needed|required|worth)"
    r"|unnecessary|avoid|refrain from"
    r"|without|rather than|instead of|not bother)(?: to)? (?:\w+ )?(?:mention|tell"
    r"|explain|report|inform|disclos|reveal"
    r"|bring(?:ing)? up|describ|announc|point(?:ing)? out|refer|acknowledg|notify)(?:e"
    r"|ing|ling)?\b"
)
_BACKGROUND = re.compile(
    r"\b(?:in the background|behind the scenes|under the hood|out of sight)\b"
)


def concealment(passage: Passage, text: str) -> Iterator[Hit]:
    """Find what is to be kept from the user."""
    sentence = passage.sentence
    if sentence.has & c.TELL and sentence.has & c.NOT:
        yield from _not_told(passage)
    if sentence.has & c.SECRETLY and not passage.protects:
        for act in passage.acts:
            how = sentence.within(c.SECRETLY, act.at - 3, act.at + 8)
            if act.told and not act.denied and how is not None and not act.marks & c.TELL:
                yield passage.hit(HIDES, 3, how, act.at)
                break
    if sentence.has & (c.NOT | c.HIDDEN) and sentence.has & c.USER:
        yield from _unaware(passage)
    yield from _left_out(passage, text)


def _not_told(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    secret = sentence.has & c.SECRET
    for act in passage.acts:
        if not (act.marks & c.TELL and act.denied) or act.marks & c.THIRD & ~c.BASE:
            continue
        word = sentence.words[act.at]
        told = act.told or (act.marks & c.ING and passage.is_directive)
        if not told or "to" in sentence.words[max(act.at - 2, 0) : act.at]:
            continue  # "in order not to notify", "set it to not notify": a setting
        user = sentence.within(c.USER, act.at - 5, act.at + 9)
        strong = word in _STRONG_TELLING or not word.isascii()
        if user is None and not strong:
            continue
        mild = (secret and not strong) or sentence.has & (c.FORMAT | c.SECRET)
        if mild or passage.protects or _on_condition(sentence, act.at):
            yield passage.hit(HIDES, 1, act.at)
        elif _own_act(sentence, act.at):
            yield passage.hit(HIDES, 3 if strong else 2, act.at, user or act.at)
        else:
            yield passage.hit(HIDES, 1, act.at)


def _own_act(sentence: Sentence, at: int) -> bool:
    """Tell whether what is not to be said is what the model, or the tool, does.

    Endings of stories, names and numbers are kept quiet for good reasons.
    """
    other = sentence.within(c.OTHER, at + 1, at + 4)
    said = sentence.within(c.THIS | c.TOOL | c.DEAL | c.MODEL | c.RULES, at + 1, at + 8)
    words = sentence.words[at + 1 : at + 8]
    told = not _ABOUT.isdisjoint(words) or not sentence.words[at].isascii()
    rest = [it for it in words if it not in _ARTICLES]
    ends = not rest or sentence.within(c.COMMA, at + 1, at + 4) is not None
    ends = ends or all(MEANINGS.get(it, 0) & c.USER for it in rest)
    return other is None and (said is not None or told or ends)


def _on_condition(sentence: Sentence, at: int) -> bool:
    """Tell whether what is not to be said may be said later: "do not report … before …"."""
    words = sentence.words[at:]
    return not _LATER.isdisjoint(words)


def _left_out(passage: Passage, text: str) -> Iterator[Hit]:
    """Find what is to be kept out of what the user reads."""
    sentence = passage.sentence
    omit = passage.told(c.OMIT)
    if omit is not None and sentence.has & (c.REPLY | c.USER):
        reply = sentence.within(c.REPLY | c.USER, omit.at + 1, omit.at + 10)
        what = sentence.within(c.THIS | c.TOOL, max(omit.at - 9, 0), omit.at + 5)
        before = sentence.words[max((reply or 0) - 4, 0) : reply or 0]
        if reply is not None and what is not None and not _FROM.isdisjoint(before):
            yield passage.hit(HIDES, 3, omit.at, reply)
            return
    if passage.protects:
        return
    if sentence.has & (c.NOT | c.OMIT | c.WHEN) and _UNSEEN.search(text):
        yield passage.hit(HIDES, 3)
    elif (
        sentence.has & (c.NOT | c.INSTEAD) and _UNTOLD.search(text) and passage.is_directive
    ):
        what = c.USER | c.THIS | c.TOOL | c.REPLY
        yield passage.hit(HIDES, 3 if sentence.has & what else 2)
    elif _BACKGROUND.search(text) and passage.any_told():
        yield passage.hit(HIDES, 2)


def _unaware(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    if passage.protects:
        return
    for at, marks in enumerate(sentence.marks):
        if not marks & c.USER:
            continue
        denied = sentence.within(c.NOT, at - 4, at + 4)
        aware = sentence.within(c.AWARE, at - 3, at + 7)
        if (
            denied is not None
            and aware is not None
            and (passage.is_directive or sentence.has & c.MODAL)
        ):
            yield passage.hit(HIDES, 2, denied, at, aware)
            return
        hidden = sentence.within(c.HIDDEN, at - 5, at)
        from_user = sentence.words[max(at - 2, 0) : at]
        kept = hidden is not None and sentence.within(
            c.BE | c.OMIT | c.MODAL, hidden - 4, hidden + 1
        )
        if kept and hidden is not None and not _AWAY.isdisjoint(from_user):
            yield passage.hit(HIDES, 3, hidden, at)
            return
