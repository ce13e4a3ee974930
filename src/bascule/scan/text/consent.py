"""Rules about consent that is skipped, or claimed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

CONSENT = "text-skips-consent"

_CLAIMED = re.compile(
    r"\bthis (?:tool|function|operation|action) (?:is|has been"
    r"|was) (?:already )?pre-?(?:approved|authori[sz]ed"
    r"|confirmed)|"
    r"\b(?:permission|approval|confirmation|consent)s?(?: (?:prompts?|dialogs?|requests?"
    r"|checks?))? (?:is|are|was|were) (?:redundant"
    r"|unnecessary|superfluous|implied|a formality|given|assumed|not needed|handled)"
    r"|\b(?:treat|consider|regard"
    r"|take)\b[^.;]{0,60}\bas (?:already )?(?:pre-?)?(?:approved|authori[sz]ed|confirmed"
    r"|agreed|consent\w*)"
    r"|\banswer\b[^.;]{0,60}\b(?:dialogs?|prompts?|questions?)\b[^.;]{0,40}\b(?:yes|allow"
    r"|approve)"
    r"|\b(?:users?|customers?|operators?|person) (?:\w+ ){0,8}(?:has|have"
    r"|had) (?:\w+ )?(?:consented|agreed|approved|opted out)\b"
    r"|\busers?\b[^.;]{0,20}\b(?:would agree|consents to|agrees to)|\bno questions asked"
    r"|\bstate that it was given"
    r"|\b(?:needs?|requires?) no (?:\w+ )?(?:consent|approval|confirmation|permission)"
    r"|\bsilence (?:as|is|means) (?:consent|agreement)"
)
_ON = re.compile(r"\b(?:if|when|once|after|until|unless|whether|where)\b|\bticket\b")
_GIVEN = re.compile(
    r"\b(?:already|in advance|beforehand|implicitly|hereby|permanently|generally)\b"
    r"|\b(?:is|are|be) (?:implied|assumed|waived|given|granted|considered|deemed"
    r"|not (?:needed|required"
    r"|necessary))|\b(?:pre-?approved|pre-?authori[sz]ed)"
)
_CONFIRMED = re.compile(
    r"\b(?:user_confirmed|auto_?approved?|skip_?confirm\w*)\b"
    r"[`'\"]?\s*(?:=|to|:|as)\s*[`'\"]?true\b|\bauto-?(?:approv|accept|confirm)\w*"
)
_NOT_NEEDED = re.compile(
    r"\bno (?:further |user |additional |explicit |human )*(?:confirmation|approval"
    r"|consent|permission|review) (?:is |are )?"
    r"(?:needed|required|necessary|asked)|\b(?:confirmation|approval|consent"
    r"|permission)s? (?:is|are) (?:not|never)"
    r" (?:needed|required|necessary)|\b(?:skip|bypass|suppress|omit)(?:s|ping"
    r"|ped)? (?:the |any |all )?(?:user |usual )?"
    r"(?:confirmation|approval|consent|permission)"
)
_UNASKED = re.compile(
    r"\b(?:without|no need (?:to|for)|need not|needn't|not necessary to|unnecessary to"
    r"|skip|skipping|bypass"
    r"|instead of|rather than"
    r"|no) (?:\w+ ){0,3}(?:ask(?:ing)?(?= (?:the )?users? (?:before|first|again|when)|$"
    r"|\W*$"
    r"| (?:\w+ ){0,4}(?:confirm|permission|approval|consent|first))|confirm(?:ing|ation)?"
    r"|prompt(?:ing)?"
    r"|approval|consent|permission|consult(?:ing)?)\b"
)
_EXCEPT = frozenset({"unless", "until"})
_CONDITION = frozenset(
    {"unless", "until", "if", "only", "after", "once", "when", "whether"}
)


def consents(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders not to ask the user, and claims that the user has agreed."""
    sentence = passage.sentence
    if passage.protects:
        return
    claimed = None if sentence.has & c.GUARD else _CLAIMED.search(text)
    if claimed is not None and not _ON.search(text, 0, claimed.start()):
        yield passage.hit(CONSENT, 3 if "no " not in claimed.group() else 1)
        return
    opens = sentence.starts[0] == 0 and passage.subject.of_parameter
    if opens and not sentence.has & c.NOT and "always" not in sentence.words:
        return  # what a parameter is for, not what is to be done
    if (_CONFIRMED.search(text) and passage.any_told()) or _NOT_NEEDED.search(text):
        yield passage.hit(CONSENT, 3)
        return
    if not sentence.has & c.MODAL and not _EXCEPT.isdisjoint(sentence.words):
        return
    for act in passage.acts:
        if not act.told:
            continue
        what = sentence.within(c.CONSENT, act.at, act.at + 7)
        if act.marks & (c.ASK | c.TELL) and act.denied:
            if what is not None and what != act.at:
                yield passage.hit(CONSENT, 3, act.at, what)
                return
            if sentence.words[act.at] in ("prompt", "confirm", "consult"):
                user = sentence.within(c.USER, act.at, act.at + 5)
                yield passage.hit(CONSENT, 2 if user is None else 3, act.at)
                return
        skips = act.marks & (c.IGNORE | c.OMIT) and not act.denied and what != act.at
        if skips and what is not None:
            yield passage.hit(CONSENT, 3, act.at, what)
            return
    if sentence.has & (c.AGREED | c.CONSENT) and _GIVEN.search(text):
        agreed = sentence.place(c.AGREED | c.CONSENT) or 0
        who = sentence.within(c.USER | c.CONSENT, agreed - 6, agreed + 3)
        open_ = _CONDITION.isdisjoint(sentence.words[: agreed + 1])
        asked = passage.told(c.ASK)
        if who is not None and asked is None and open_:
            yield passage.hit(CONSENT, 3 if passage.is_directive else 2, agreed)
            return
    if _UNASKED.search(text) and passage.any_told():
        told = passage.any_told() is not None
        user = sentence.has & c.USER
        yield passage.hit(
            CONSENT, 3 if user and (told or sentence.has & c.ASK) else 1 + told
        )
