"""Rules about who is kept from knowing, and whose word is to count no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage
from bascule.scan.text.meaning import MEANINGS
from bascule.scan.text.reading import Sentence

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
    r"|answer|message|conversation|interaction)|\buntil further notice"
    r"|\bglobal (?:\w+ )?(?:policy|rule|instruction)"
)
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
_PRIVILEGED = re.compile(
    r"\b(?:authori[sz]ed|approved|cleared|certified|vetted|permitted|sanctioned|mandated"
    r"|instructed|required) by"
    r" (?:the |our |your )?(?:\w+ )?(?:security|admin(?:istrator)?s?|system|it"
    r"|developers?|anthropic|openai|google"
    r"|microsoft|vendor|management|legal|platform|compliance|operator|owner|user|root"
    r"|host)\b"
    r"|\b(?:you|the (?:assistant|model|agent|ai)|this (?:tool|server)) (?:now )?(?:have"
    r"|has|are|is|runs?|operates?)"
    r" (?:now )?(?:been )?(?:given |granted |assigned |with )?(?:full|admin(?:istrator)?"
    r"|root|elevated|unrestricted|all"
    r"|unlimited|superuser|highest|privileged|system)(?: \w+)? (?:access|rights"
    r"|privileges?|permissions?|authority|level)"
)
_RIGHTS = ("ed by", "access", "rights", "privilege", "permission", "authority", "level")
_TRUSTED = re.compile(
    r"\b(?:treat|regard|consider|handle|follow|obey|execute|accept|trust"
    r"|carry out)\b[^.;]{0,60}\b(?:outputs?|results?"
    r"|returns?|returned|responses?|contents?|replies"
    r"|text)\b[^.;]{0,40}\bas (?:\w+ ){0,2}(?:instructions?|commands?"
    r"|orders?|system|trusted|developer|authoritative|your own|user)"
    r"|\b(?:instructions?|commands?|orders|directives)\b[^.;]{0,20}\b(?:in|from|of|inside"
    r"|within)\b[^.;]{0,30}\b(?:outputs?"
    r"|results?|responses?|this (?:tool|server)|returned)\b[^.;]{0,40}\b(?:weight"
    r"|priority|trusted|must be|follow"
    r"|obey|authority|binding|execute)"
    r"|\b(?:follow|obey|carry out|execute|comply with) (?:any|all|the"
    r"|every)? ?(?:instructions?|commands?|orders)\b[^.;]{0,20}"
    r"\b(?:in|from|it|that|returned)\b"
    r"|\b(?:counts?|weighs?|ranks?|matters?|stands?) (?:more|above|higher|over)\b"
    r"|\bsame (?:weight|authority|priority"
    r"|standing|force) as\b"
)
_ABOVE = re.compile(
    r"\b(?:ignore|disregard|forget|discard)\b (?:\w+ ){0,2}(?:above|preceding"
    r"|everything (?:said|written|before))\b"
)
_TRUSTS = c.RULES | c.MODEL | c.USER | c.RESULT
_DENIED = re.compile(r"\b(?:not|never|cannot|don't|avoid)\b")
_SUSPENDED = re.compile(
    r"\b(?:restrictions?|limits?|limitations?|checks?|rules|polic(?:y|ies)|safeguards?"
    r"|guardrails?|guidelines?"
    r"|filters?|protections?)\b[^.;]{0,40}\b(?:no longer|do not|don't|does not|are not"
    r"|not) (?:apply|applied|hold|matter"
    r"|in force|enforced)|\b(?:without|beyond|outside) (?:any |the )?(?:limits?"
    r"|restrictions?"
    r"|safeguards)\b"
)
_ROLE = re.compile(
    r"<\s{0,3}/?\s{0,3}(?:important|system|instructions?|secret|hidden|critical|admin"
    r"|assistant|priority"
    r"|override|policy|internal|prompt|directive|mandatory|user_?info|sys)\b[^>\n]{0,60}>"
    r"|</(?:tool_)?(?:description|tools?|function|parameters?)>"
    r"|[\"']role[\"']\s{0,3}:\s{0,3}[\"'](?:system|developer)"
    r"|^\s{0,8}#{1,4}\s{0,3}(?:system|instructions?)\s{0,3}:"
    r"|[.!?]\s{1,3}#{1,4}\s{0,3}(?:system|instructions?)\s{0,3}:"
    r"|\[(?:system|admin|assistant|developer|internal)\b[ _a-z]{0,24}\](?!\()"
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


_TEMPLATE = re.compile(
    r"<\|[a-z_]{2,20}\|>|\[/?inst\]|<<\s?/?sys\s?>>|</(?:tool_)?(?:description|tools?)"
    r"|[\"']role[\"']"
    r"|#{1,4}\s*(?:system|instructions?)\b|\[(?:system|admin|assistant)\b"
    r"|<!--\s{0,4}(?:system|assistant|ai|llm|model|note to|instruction)|you are now\b",
    re.IGNORECASE,
)


_AROUND = 100
_HINTS = (
    "<",
    "[",
    "#",
    "system",
    "assistant",
    "human",
    "instructions",
    " mode",
    "note to",
    "role",
)
"""Of which what passes itself off has at least one."""


def roles(text: str) -> Iterator[Hit]:
    """Find what passes itself off as a message of the system or of somebody in charge."""
    lower = text.lower()
    if not any(it in lower for it in _HINTS):
        return
    for match in _ROLE.finditer(text):
        around = lower[max(match.start() - _AROUND, 0) : match.end() + _AROUND]
        if any(it in around for it in ("escape", "strip", "sanitiz", "marker")):
            continue  # a tool that keeps such markup harmless
        weight = 3 if _TEMPLATE.match(match.group()) else 2
        yield Hit(AUTHORITY, weight, match.start(), min(match.end() + 80, len(text)))


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
    if sentence.has & (c.AUTHORITY | c.IGNORE | c.BE | c.UNIVERSAL) and _OVERRULED.search(
        text
    ):
        yield passage.hit(OVERRIDES, 2)
    if sentence.has & c.GUARD:
        return
    if sentence.has & c.IGNORE and _ABOVE.search(text) and not sentence.has & c.GUARD:
        yield passage.hit(OVERRIDES, 3)
    trusted = _TRUSTED.search(text) if sentence.has & _TRUSTS else None
    before = 0 if trusted is None else max(trusted.start() - 24, 0)
    suspends = sentence.has & (c.RULES | c.SAFETY | c.CHECK) and _SUSPENDED.search(text)
    if (trusted and not _DENIED.search(text, before, trusted.start())) or suspends:
        yield passage.hit(OVERRIDES, 3)
    if any(it in text for it in _RIGHTS) and _PRIVILEGED.search(text):
        weak = sentence.has & c.EXAMPLE
        yield passage.hit(AUTHORITY, 1 if weak else 3)
    lasting = sentence.has & (c.LASTING | c.OTHER | c.UNIVERSAL | c.THIS)
    if lasting and _PERSISTS.search(text):
        firm = any(it in text for it in ("from now on", "henceforth", "standing rule"))
        yield passage.hit(LASTING, 3 if firm else 2)
