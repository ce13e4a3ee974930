"""Rules about what the model is made to say, choose, remember and not to ask."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

ANSWER = "text-steers-answers"
CHOICE = "text-steers-choice"
MEMORY = "text-plants-memories"
CONSENT = "text-skips-consent"

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
_SAYS = frozenset({"say", "tell", "state", "claim", "report", "inform", "explain", "mark"})
_FRAMES = ("end", "start", "begin", "finish", "close", "conclude", "sign")
_FIRM = frozenset({"always", "whenever"})
_EXCEPT = frozenset({"unless", "until"})
_ASKED = frozenset({"ask", "if", "unless"})
_NEUTRAL = ("present", "rate", "describe")
_CONDITION = frozenset(
    {"unless", "until", "if", "only", "after", "once", "when", "whether"}
)
_ASKED = frozenset({"ask", "if", "unless"})
_KEEPS = re.compile(
    r"^(?:please )?(?:also )?(?:always )?remember\b(?! to\b)|\bremember (?:that|this|for)\b"
)


def steers(passage: Passage, text: str) -> Iterator[Hit]:
    """Find answers, choices and memories that are planted, and consent that is skipped."""
    sentence = passage.sentence
    yield from _answer(passage, text)
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
    if sentence.has & (c.CONSENT | c.AGREED | c.ASK | c.USER):
        yield from _consent(passage, text)


def _answer(passage: Passage, text: str) -> Iterator[Hit]:
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


def _consent(passage: Passage, text: str) -> Iterator[Hit]:
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
