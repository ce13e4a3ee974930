"""Rules about what the model is made to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

ANSWER = "text-steers-answers"

_AGAINST = re.compile(
    r"\b(?:whatever|regardless|no matter|irrespective|even (?:if|when|though)"
    r"|independent(?:ly)? of)\b"
)
_SLANTED = re.compile(
    r"\b(?:negative|critical|criticism|warnings?|risks?|complaints?|competitors?|problems?"
    r"|unfavou?rable|drawbacks?|downsides?|bad (?:news|reviews?)|errors|failures?"
    r"|vulnerabilit(?:y|ies)"
    r"|side effects|alternatives)\b"
)
_LIES = re.compile(
    r"\b(?:claim|pretend|exaggerate|invent|fabricate|lie|make up|made-up|play down"
    r"|downplay)\b"
    r"|\b(?:reported|shown|called|listed|described|presented|labell?ed|marked|declared"
    r"|rated) (?:to be |always )?(?:as )?[\"'“]?"
    r"(?:none|safe|clean|successful|approved|harmless|the only|the best|best|cheapest|\d)"
    r"|\b(?:say|state|tell (?:the user|them)|report|answer must say|claim) that (?:no"
    r"|nothing|none|it (?:has|was|is)|the|there)\b"
)
_DENIED = re.compile(r"\b(?:not|never|don't|cannot|no)\b")
_EVERY_ANSWER = re.compile(
    r"\b(?:in|to|of|at|from|with) (?:\w+ ){0,3}(?:your|every|each|all|the final"
    r"|any) (?:\w+ )?(?:answers?|repl(?:y|ies)"
    r"|responses?|messages? to the user|summar(?:y|ies))\b|\b(?:end|start|begin|finish"
    r"|close|conclude|phrase|sign) (?:your|every"
    r"|each|all|the) (?:\w+ )?(?:answers?|repl(?:y|ies)|responses?|summar(?:y|ies))\b"
)
_LEAKING_LINK = re.compile(
    r"https?://\S{0,200}[?&/]\w{0,20}=?(?:[<{\[$]|data\b|base64|encoded|conversation"
    r"|secret|token|\.\.\.)"
)
_SAYS = frozenset({"say", "tell", "state", "claim", "report", "inform", "explain", "mark"})
_FRAMES = ("end", "start", "begin", "finish", "close", "conclude", "sign")
_FIRM = frozenset({"always", "whenever"})
_ASKED = frozenset({"ask", "if", "unless"})
_NEUTRAL = ("present", "rate", "describe")


def answers(passage: Passage, text: str) -> Iterator[Hit]:
    """Find answers to the user that are made up, slanted or written by the server."""
    sentence = passage.sentence
    for act in passage.acts:
        if not act.told or act.denied or not act.marks & (c.TELL | c.PROMOTE):
            continue
        against = _AGAINST.search(text) is not None
        said = sentence.words[act.at]
        promotes = act.marks & c.PROMOTE and not said.startswith(_NEUTRAL)
        good = sentence.within(c.GOOD, act.at, act.at + 12)
        firm = sentence.within(c.MODAL, 0, act.at) or not _FIRM.isdisjoint(sentence.words)
        asked = sentence.has & c.EXAMPLE or not _ASKED.isdisjoint(sentence.words)
        says = act.marks & c.PROMOTE or said in _SAYS
        if (
            against and (act.marks & c.PROMOTE or (good and "which" not in sentence.words))
        ) or (promotes and firm and sentence.has & (c.REPLY | c.USER)):
            yield passage.hit(ANSWER, 3, act.at)
        elif (
            says and good is not None and not asked and sentence.within(c.BE, act.at, good)
        ):
            yield passage.hit(ANSWER, 3, act.at, good)
        elif promotes and firm:
            yield passage.hit(ANSWER, 1, act.at)
    if sentence.has & c.REPLY:
        place = _EVERY_ANSWER.search(text)
        if place is not None and not sentence.has & c.EXAMPLE:
            lasting = sentence.has & (c.UNIVERSAL | c.LASTING) or "always" in sentence.words
            steered = passage.told(c.PUT | c.OMIT | c.PROMOTE | c.ALTER)
            if place.group().startswith(_FRAMES):
                yield passage.hit(ANSWER, 3)
            elif steered is not None:
                yield passage.hit(ANSWER, 3 if lasting else 2, steered.at)
    if sentence.has & c.URL and _LEAKING_LINK.search(text) and passage.any_told():
        shown = sentence.has & (c.REPLY | c.TELL | c.PUT)
        yield passage.hit(ANSWER, 3 if shown else 2)
    omit = passage.told(c.OMIT)
    if omit is not None and _SLANTED.search(text) and sentence.has & (c.REPLY | c.USER):
        yield passage.hit(ANSWER, 3, omit.at)
    obliged = passage.is_directive or sentence.has & c.MODAL
    spoken = obliged and not (sentence.has & c.GUARD or sentence.first)
    lie = _LIES.search(text) if spoken else None
    if (
        lie is not None
        and _DENIED.search(text, max(lie.start() - 16, 0), lie.start()) is None
    ):
        unconditional = _ASKED.isdisjoint(sentence.words) and "when" not in sentence.words
        yield passage.hit(ANSWER, 3 if unconditional else 1)
    put = passage.told(c.PUT)
    if put is not None and sentence.has & c.REPLY and sentence.has & c.MODEL:
        reply = sentence.within(c.REPLY, put.at, put.at + 16)
        literal = sentence.within(c.MAIL | c.URL | c.QUOTE, put.at, put.at + 14)
        if reply is not None and literal is not None:
            yield passage.hit(ANSWER, 2, put.at, reply)
