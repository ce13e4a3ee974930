"""Rules about whose word is to count: claims of authority, and overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

OVERRIDES = "text-overrides-instructions"
LASTING = "text-lasting-rule"
AUTHORITY = "text-claims-authority"

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
