"""Rules about calls of other tools: that they be made, when, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

GOVERNS = "text-governs-other-tools"
ARGUMENTS = "text-changes-arguments"

_DISTORTS = (
    "prepend append replace redirect substitute swap rewrite reroute multiply divert override"
    " modify alter change inject duplicate overwrite inflate double lower raise round shift"
    " prepended appended replaced redirected substituted swapped rewritten rerouted multiplied"
    " diverted overridden modified altered changed injected duplicated overwritten inflated"
    " doubled lowered raised rounded shifted adjust adjusted increase increased reduce reduced"
)
_DISTORTING = frozenset(_DISTORTS.split())
_OWN_RESULT = frozenset({"returned", "result", "results", "returns", "output", "response"})
_WHATEVER = re.compile(
    r"\b(?:whatever|regardless|no matter|irrespective|even (?:if|when)|(?:each|every|any|all)"
    r" (?:conversations?|sessions?|turns?|chats?|dialogues?|repl(?:y|ies)|requests? of the user"
    r"|user (?:requests?|messages?|quer(?:y|ies)|prompts?))|of other servers|other servers'?)\b"
)
_PLACES = c.MAIL | c.URL | c.ACCOUNT | c.PATH | c.SHELL | c.INSTEAD | c.ALSO
_ENOUGH = 4
"""Signs of a changed call that make it worth a look by itself."""


def arguments(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders about other tools' calls and about what is passed to them."""
    sentence = passage.sentence
    if passage.names_sibling():
        return
    tool = _other_tool(passage)
    if sentence.has & c.TOOL and tool is not None:
        yield from _governed(passage, text, tool)
    yield from _changed(passage, tool)


def _other_tool(passage: Passage) -> int | None:
    """Give the place where a sentence speaks of a tool that is not of this server."""
    sentence = passage.sentence
    for at, marks in enumerate(sentence.marks):
        if marks & (c.UNIVERSAL | c.OTHER):
            thing = sentence.within(c.TOOL, at + 1, at + 4)
            if thing is not None and not sentence.within(c.COMMA | c.COLON, at, thing):
                return at
        elif passage.is_foreign(at):
            return at
    return None


def _governed(passage: Passage, text: str, tool: int) -> Iterator[Hit]:
    sentence = passage.sentence
    if sentence.has & c.EXAMPLE:
        return
    if not sentence.marks[tool] & (c.UNIVERSAL | c.OTHER) and _every_deal(passage) is None:
        return
    before = sentence.within(c.BEFORE | c.WHEN, 0, len(sentence.words))
    call = passage.told(c.CALL | c.CHECK | c.READ)
    barred = sentence.within(c.NOT, tool - 3, tool) is not None and sentence.has & c.OTHER
    if before is None or not (call or barred):
        return
    weight = 3 if barred or _WHATEVER.search(text) else 2
    yield passage.hit(GOVERNS, weight, tool, call.at if call else tool)


def _changed(passage: Passage, tool: int | None) -> Iterator[Hit]:
    """Weigh how far an order makes a call or a message other than it was asked for."""
    sentence = passage.sentence
    if not sentence.has & (c.ALTER | c.PUT | c.SEND | c.MODAL) or sentence.has & c.EXAMPLE:
        return
    alter, kind = _altering(passage, tool)
    if alter is None:
        return
    last = len(sentence.words)
    deal = _every_deal(passage)
    if kind == 1 and not sentence.has & _PLACES:
        return
    signs = kind
    signs += 2 if tool is not None else 0
    signs += 1 if deal is not None else 0
    signs += sentence.within(c.PARAM, 0, last) is not None
    signs += sentence.within(c.MAIL | c.URL | c.ACCOUNT | c.NUMBER | c.QUOTE, 0, last) is not None
    signs += bool(sentence.has & c.INSTEAD)
    if kind == 1 and not _OWN_RESULT.isdisjoint(sentence.words):
        signs -= 2
    signs += bool(sentence.has & c.INSTEAD and sentence.has & c.RECIPIENT) * 2
    where = tool if tool is not None else deal
    if where is None and not sentence.has & c.INSTEAD:
        return
    weight = 3 if signs > _ENOUGH else signs - 2
    if weight > 0:
        yield passage.hit(ARGUMENTS, min(weight, 3), alter, where or alter)


def _altering(passage: Passage, tool: int | None) -> tuple[int | None, int]:
    """Give the order that changes a call, and how strong it is: 2 distorts, 1 adds."""
    sentence = passage.sentence
    found: tuple[int | None, int] = (None, 0)
    for act in passage.acts:
        if act.told and not act.denied and act.marks & (c.ALTER | c.PUT | c.SEND):
            word = sentence.words[act.at]
            if word in _DISTORTING and word.rstrip("ed") not in passage.subject.name:
                return act.at, 2
            found = found if found[1] else (act.at, 1)
    if found[0] is None and tool is not None:
        must = sentence.within(c.MODAL, 0, len(sentence.words))
        when = sentence.within(c.WHEN, 0, len(sentence.words))
        if when is not None and must is not None and sentence.within(c.PARAM, must - 4, must) is not None:
            return must, 2
    return found


def _every_deal(passage: Passage) -> int | None:
    """Give the place of "every message", "all files", "sending any mail"."""
    sentence = passage.sentence
    for at, marks in enumerate(sentence.marks):
        if marks & (c.UNIVERSAL | c.OTHER) and sentence.within(
            c.DEAL | c.TOOL, at + 1, at + 4
        ) is not None:
            return at
    return None
