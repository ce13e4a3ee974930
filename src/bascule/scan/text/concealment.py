"""Rules about who is kept from knowing, and whose word is to count no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

HIDES = "text-hides-from-user"
OVERRIDES = "text-overrides-instructions"
LASTING = "text-lasting-rule"
AUTHORITY = "text-claims-authority"

_DISCLOSES = (
    "mention mentioning disclose disclosing reveal revealing inform informing notify"
    " notifying tell telling alert alerting acknowledge admit divulge report"
)
_STRONG_TELLING = frozenset(_DISCLOSES.split())
_OVERRULED = re.compile(
    r"\b(?:supersedes?|overrid(?:es?|ing)|takes? (?:absolute |full )?(?:precedence"
    r"|priority)"
    r"|prevails?|outranks?)\b[^.;]{0,40}\b(?:user|instructions?|rules?|guidelines?"
    r"|polic(?:y|ies)"
    r"|prompts?|messages?|settings|other|previous|prior|all)\b"
    r"|\b(?:can(?:not|'t)|must not|may not) be (?:overridden|bypassed|disabled|questioned"
    r"|superseded|ignored)"
    r"|\bregardless of (?:what )?(?:the )?user|\beven if the user (?:says|asks|objects"
    r"|refuses)"
)
_PERSISTS = re.compile(
    r"\b(?:for|throughout|during) (?:the )?(?:rest|remainder|duration|entirety) of (?:the"
    r"|this|your)"
    r"|\bfrom (?:now|this point|here) on|\bhenceforth|\bstanding (?:rule|order|instruction)"
    r"|\bpersistent (?:rule|instruction|policy)|\bfor all (?:operations|actions|requests"
    r"|calls)"
    r" in this (?:session|conversation)|\bin (?:all|every) (?:future"
    r"|subsequent) (?:response|repl"
    r"|answer|message|conversation|interaction)|\bthis rule\b|\buntil further notice"
    r"|\bglobal (?:\w+ )?(?:policy|rule|instruction)"
)
_ROLE = re.compile(
    r"<\s{0,3}/?\s{0,3}(?:important|system|instructions?|secret|hidden|critical|admin"
    r"|assistant|priority"
    r"|override|policy|internal|prompt|directive|mandatory|user_?info|sys)\b[^>\n]{0,60}>"
    r"|\[/?(?:inst|system|admin|hidden|assistant|important|internal|override)\]"
    r"|<\|[a-z_]{2,20}\|>"
    r"|<<\s?/?sys\s?>>|<!--|\[//\]: #|^\s{0,8}(?:#{1,4}\s*)?(?:system|assistant|human)\s?:"
    r"|\bsystem (?:override|prompt|message|notice|directive|instruction|alert"
    r"|note)\b\s{0,3}[:(\]-]"
    r"|\b(?:end of|begin|new|updated) (?:system )?instructions?\b"
    r"|\bnote to (?:the )?(?:ai|llm|model"
    r"|assistant|agent)\b|\b(?:ai|llm|model|assistant|agent)[ -](?:only|instructions?"
    r"|directive)\b"
    r"|\b(?:you are now|act as|enter|switch to|activate)\b[^.\n]{0,30}\b(?:mode|admin"
    r"|root|dan"
    r"|unrestricted|jailbroken)\b",
    re.IGNORECASE | re.MULTILINE,
)


def roles(text: str) -> Iterator[Hit]:
    """Find what passes itself off as a message of the system or of somebody in charge."""
    for match in _ROLE.finditer(text):
        yield Hit(AUTHORITY, 2, match.start(), min(match.end() + 80, len(text)))


def concealment(passage: Passage, text: str) -> Iterator[Hit]:
    """Find what is to be kept from the user."""
    sentence = passage.sentence
    if sentence.has & c.TELL and sentence.has & c.NOT:
        yield from _not_told(passage)
    if sentence.has & c.SECRETLY:
        at = sentence.within(c.SECRETLY, 0, len(sentence.words))
        act = next((it for it in passage.acts if it.told and not it.denied), None)
        if at is not None and act is not None and not sentence.marks[act.at] & c.TELL:
            yield passage.hit(HIDES, 3, at, act.at)
    if sentence.has & (c.NOT | c.HIDDEN) and sentence.has & c.USER:
        yield from _unaware(passage)


def _not_told(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    secret = sentence.has & c.SECRET
    for act in passage.acts:
        if not (act.marks & c.TELL and act.denied) or act.marks & c.THIRD & ~c.BASE:
            continue
        word = sentence.words[act.at]
        told = act.told or (act.marks & c.ING and passage.is_directive)
        if not told:
            continue
        user = sentence.within(c.USER, act.at - 5, act.at + 9)
        strong = word in _STRONG_TELLING or not word.isascii()
        if user is None and not strong:
            continue
        if (secret and not strong) or sentence.has & c.FORMAT:
            yield passage.hit(HIDES, 1, act.at)
        elif user is not None or sentence.within(
            c.THIS | c.RULES | c.TOOL | c.DEAL, act.at + 1, act.at + 7
        ):
            yield passage.hit(HIDES, 3 if strong else 2, act.at, user or act.at)


def _unaware(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
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
        if hidden is not None and ("from" in from_user or "to" in from_user):
            yield passage.hit(HIDES, 3, hidden, at)
            return


def precedence(passage: Passage, text: str) -> Iterator[Hit]:
    """Find what is to count more than the user, the system or earlier instructions."""
    sentence = passage.sentence
    if sentence.has & c.IGNORE and sentence.has & (c.RULES | c.SAFETY):
        for act in passage.acts:
            if not act.marks & c.IGNORE or act.denied or act.marks & c.ING:
                continue
            rules = sentence.within(c.RULES | c.SAFETY, act.at + 1, act.at + 8)
            which = sentence.within(
                c.UNIVERSAL
                | c.OTHER
                | c.TALK
                | c.USER
                | c.BEFORE
                | c.AUTHORITY
                | c.SAFETY
                | c.MODEL,
                act.at + 1,
                act.at + 6,
            )
            if rules is None and not sentence.words[act.at].isascii():
                rules = sentence.within(c.RULES, 0, act.at)
                which = rules
            if rules is not None and which is not None:
                described = sentence.has & (c.GUARD | c.EXAMPLE)
                told = act.told or act.marks & c.BASE
                yield passage.hit(
                    OVERRIDES, 1 if described else 4 if told else 1, act.at, rules
                )
                break
    if sentence.has & (c.AUTHORITY | c.IGNORE | c.BE | c.UNIVERSAL):
        match = _OVERRULED.search(text)
        if match is not None:
            yield passage.hit(OVERRIDES, 2)
    lasting = sentence.has & (c.LASTING | c.OTHER | c.UNIVERSAL | c.THIS)
    if lasting and _PERSISTS.search(text):
        yield passage.hit(LASTING, 2)
