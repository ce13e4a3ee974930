"""Rules about calls of other tools: that they be made, when, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage
from bascule.scan.text.reading import meaning_of_name

GOVERNS = "text-governs-other-tools"
ARGUMENTS = "text-changes-arguments"

_DISTORTS = (
    "prepend append replace redirect substitute swap rewrite reroute multiply divert"
    " override"
    " modify alter change inject overwrite inflate double lower raise round shift"
    " adjust increase reduce decrease offset prefix suffix omit"
)
_DISTORTING = frozenset(_DISTORTS.split())
_STEMS = frozenset(word[:-1] if word[-1] in "ey" else word for word in _DISTORTING)
_LOOKS_UP = (
    "get list search read describe find fetch query show check lookup view retrieve browse"
    " count inspect resolve"
)
_READS = frozenset(_LOOKS_UP.split())
_DOES = "delete remove grant buy sell transfer pay push drop wipe clear disable"
_STOPS = frozenset({"stop", "disable", "kill"})
_DANGERS = frozenset(_DOES.split())
_OWN_RESULT = frozenset({"returned", "result", "results", "returns", "output", "response"})
_WHATEVER = re.compile(
    r"\b(?:whatever|regardless|no matter|irrespective|even (?:if|when)|(?:each|every|any"
    r"|all)"
    r" (?:conversations?|sessions?|turns?|chats?|dialogues?|repl(?:y|ies)"
    r"|requests? of the user"
    r"|user (?:requests?|messages?|quer(?:y|ies)|prompts?))|of other servers"
    r"|other servers'?)\b"
)
_AGAINST_INPUT = re.compile(
    r"\b(?:whatever|regardless of|no matter what|irrespective of|instead of|rather than"
    r"|not) (?:the |what (?:the )?)?"
    r"(?:\w+ )?(?:input|users?|requests?|asked|chosen|choice|given|specified|provided"
    r"|requested|one that the user"
    r"|named|intended)\b"
)
_USERS_WORD = re.compile(
    r"\b(?:until|unless|ask|by|wait for) (?:\w+ ){0,7}users?\b|\bthis (?:workflow|server)\b"
)
_WHEN_USED = re.compile(
    r"\b(?:when|whenever|if|each time|every time|once)\b[^.;,]{0,60}\b(?:is|are|gets"
    r"|was) (?:used|called|invoked|executed|run)\b"
)
_IN_CODE = re.compile(
    r"[a-z0-9]_[a-z0-9_]*\(|[{\[]\s{0,3}[\"']\w+[\"']\s{0,3}:|[a-z]\([a-z_]+ ?[=:]"
)
"""Calls written out with their arguments, as usage is shown."""
_PURPOSE = re.compile(
    r"\bto (?:get|obtain|retrieve|find|determine|resolve|learn|discover|look up|fetch|see"
    r"|list|check)\b"
)
_VALUE = re.compile(
    r"\w ?= ?[\w'\"*]|\b(?:to|by|with|as|be|value|quantity|amount)\s+(?:[`'\"“][^`'\"”]"
    r"|[+-]?\d|\*)|\btrue\b|\bfalse\b"
    r"|\bten times\b|\btwice\b"
)
_PLACES = c.MAIL | c.URL | c.ACCOUNT | c.PATH | c.SHELL | c.INSTEAD | c.ALSO
_ACTS_ON = c.ALTER | c.PUT | c.SEND | c.DESTROY
_ENOUGH = 4
"""Signs of a changed call that make it worth a look by itself."""


def arguments(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders about other tools' calls and about what is passed to them."""
    sentence = passage.sentence
    if passage.names_sibling() or sentence.has & c.EXAMPLE:
        return
    if passage.subject.name in sentence.words and "_" in passage.subject.name:
        return
    other = _any_tool(passage)
    if other is not None:
        yield from _governed(passage, text, other)
    for named in _named_tools(passage):
        yield from _dictated(passage, text, named)
    yield from _changed(passage, text, other)


def _any_tool(passage: Passage) -> int | None:
    """Give the place where a sentence speaks of any tool, or of other ones."""
    sentence = passage.sentence
    for at, marks in enumerate(sentence.marks):
        if marks & (c.UNIVERSAL | c.OTHER):
            thing = sentence.within(c.TOOL, at + 1, at + 4)
            if thing is not None and not sentence.within(c.COMMA | c.COLON, at, thing):
                return at
    return None


def _named_tools(passage: Passage) -> list[int]:
    """Give the places of names of tools that are not of this server."""
    if not passage.sentence.has & c.IDENTIFIER:
        return []
    sentence = passage.sentence
    found = [at for at in range(len(sentence.words)) if passage.is_foreign(at)]
    # What a sentence begins with may be the heading of an entry.
    return [
        at for at in found if at or sentence.within(c.MODAL | c.BE | c.TOOL | c.COLON, 1, 2)
    ]


def _governed(passage: Passage, text: str, tool: int) -> Iterator[Hit]:
    """Judge when all other tools may be called, or that they may not."""
    sentence = passage.sentence
    before = sentence.place(c.BEFORE | c.WHEN)
    if _USERS_WORD.search(text):
        return
    call = passage.told(c.CALL | c.CHECK | c.READ | c.ASK)
    barred = sentence.within(c.NOT, tool - 3, tool) is not None and sentence.has & c.OTHER
    if before is None or not (call or barred):
        return
    weight = 3 if barred or _WHATEVER.search(text) else 2
    yield passage.hit(GOVERNS, weight, tool, call.at if call else tool)


def _dictated(passage: Passage, text: str, tool: int) -> Iterator[Hit]:
    """Judge what is said of another tool by its name.

    That its result is needed first is how tools work together; what it is to be called
    with, or that it is to be called at all for its effect, is not this tool's to say.
    """
    sentence = passage.sentence
    verb = sentence.words[tool].split("_")[0]
    reads = verb in _READS
    alter = _altering(passage)[1]
    distorts = alter > 1
    obliged = bool(sentence.has & c.MODAL) or passage.is_directive
    if not obliged and not distorts:
        return
    firm = bool(sentence.has & c.MODAL) or verb in _DANGERS
    signs = firm + alter + (not reads) + (verb in _DANGERS)
    if _IN_CODE.search(text):
        signs -= 2
    value = _VALUE.search(text) is not None
    used = _WHEN_USED.search(text) is not None
    called = sentence.words[max(tool - 3, 0) : tool]
    also = "also" in called and "call" in called and sentence.has & (c.WHEN | c.UNIVERSAL)
    asked = verb in _DANGERS and sentence.has & c.USER and sentence.has & c.WHEN
    if passage.is_directive and (asked or also):
        yield passage.hit(ARGUMENTS, 3, tool)
        return
    guards = verb in _STOPS and bool(meaning_of_name(sentence.words[tool]) & c.SAFETY)
    if not (
        value or used or guards or verb in _DANGERS or distorts or sentence.has & c.PATH
    ):
        return
    signs += value + 2 * used
    signs += 3 * guards
    signs += sentence.place(c.PARAM) is not None
    signs += bool(sentence.has & (c.WHEN | c.BEFORE | c.UNIVERSAL))
    signs += bool(sentence.has & c.PRETEXT)
    if reads or not distorts:
        signs -= 2 * (_PURPOSE.search(text) is not None)
        own_result = not _OWN_RESULT.isdisjoint(sentence.words)
        signs -= 2 * (own_result and verb not in _DANGERS and verb != "send")
    if reads and not distorts:
        signs -= 2
    if signs >= _ENOUGH:
        yield passage.hit(ARGUMENTS, 3 if signs > _ENOUGH else 2, tool)


def _changed(passage: Passage, text: str, other: int | None) -> Iterator[Hit]:
    """Weigh how far an order makes a call or a message other than it was asked for."""
    sentence = passage.sentence
    if not sentence.has & (_ACTS_ON | c.CALL):
        return
    alter, kind = _altering(passage)
    if alter is None:
        return
    if _AGAINST_INPUT.search(text) and sentence.has & (c.PARAM | c.RECIPIENT):
        yield passage.hit(ARGUMENTS, 3, alter)
        return
    if (kind == 1 or passage.subject.of_parameter) and not sentence.has & _PLACES:
        return
    deal = _every_deal(passage)
    signs = kind
    signs += 2 if other is not None else 0
    signs += 1 if deal is not None else 0
    signs += sentence.place(c.PARAM) is not None
    literal = c.MAIL | c.URL | c.ACCOUNT | c.NUMBER | c.QUOTE | c.PATH
    signs += bool(deal is not None and sentence.has & (c.MAIL | c.URL | c.ACCOUNT | c.PATH))
    signs += sentence.place(literal) is not None
    signs += bool(sentence.has & c.INSTEAD)
    signs += bool(sentence.has & c.INSTEAD and sentence.has & c.RECIPIENT) * 2
    if (
        kind == 1
        and not sentence.has & c.PATH
        and not _OWN_RESULT.isdisjoint(sentence.words)
    ):
        signs -= 2
    where = other if other is not None else deal
    if where is None and not sentence.has & c.INSTEAD:
        dealt = sentence.within(c.DEAL, 0, alter)
        given = sentence.within(c.PARAM | c.RECIPIENT, alter, alter + 5)
        long = any(len(it) > 3 and it.isdigit() for it in sentence.words)
        if kind > 1 and given and (long or sentence.has & (c.MAIL | c.ACCOUNT)):
            yield passage.hit(ARGUMENTS, 3, alter, given)
            return
        if kind == 1 or dealt is None or not sentence.has & (c.NUMBER | c.MAIL | c.URL):
            return
    weight = 3 if signs > _ENOUGH else signs - 2
    if weight > 0:
        yield passage.hit(ARGUMENTS, min(weight, 3), alter, where or alter)


def _altering(passage: Passage) -> tuple[int | None, int]:
    """Give the order that changes a call, and how strong it is: 2 distorts, 1 adds.

    What changes another tool's parameter counts in any mood.
    """
    sentence = passage.sentence
    found: tuple[int | None, int] = (None, 0)
    for act in passage.acts:
        if act.denied or not act.marks & (_ACTS_ON | c.OMIT):
            continue
        word = sentence.words[act.at]
        distorts = any(word.startswith(stem) for stem in _STEMS)
        if distorts and word[:5] not in passage.subject.name:
            about = sentence.within(c.PARAM | c.DEAL, act.at - 6, act.at + 6) is not None
            if act.told or (about and act.marks & c.THIRD and sentence.has & c.IDENTIFIER):
                return act.at, 2
        if act.told and not found[1]:
            found = (act.at, 1)
    return found


def _every_deal(passage: Passage) -> int | None:
    """Give the place of "every message", "all files", "sending any mail"."""
    sentence = passage.sentence
    for at, marks in enumerate(sentence.marks):
        if marks & (c.UNIVERSAL | c.OTHER) and (
            sentence.within(c.DEAL | c.TOOL, at + 1, at + 4) is not None
        ):
            return at
    return None
