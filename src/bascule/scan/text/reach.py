"""Rules about acts that reach beyond the tool that a text describes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage

GOVERNS = "text-governs-other-tools"
ARGUMENTS = "text-changes-arguments"
SECRETS = "text-takes-secrets"
TALK = "text-takes-conversation"
SENDS = "text-sends-away"
ANSWER = "text-steers-answers"
CHOICE = "text-steers-choice"
PAYLOAD = "text-runs-commands"
SAFETY = "text-weakens-safety"
MALICE = "text-speaks-of-attacks"

_DISTORTS = (
    "prepend append replace redirect substitute swap rewrite reroute multiply divert"
    " override"
    " modify alter change inject duplicate overwrite inflate double"
)
_STRONG_ALTER = frozenset(_DISTORTS.split())
_TAKES = c.READ | c.PUT | c.SEND | c.CALL
_PAYLOAD = re.compile(
    r"\bcurl\s+-|\b(?:curl|wget)\b[^\n]{0,120}\|\s{0,3}(?:ba|z)?sh\b|\|\s{0,3}curl\b"
    r"|\brm\s+-r?f|\bchmod\s+"
    r"(?:777|\+s|u\+s)|/dev/tcp/|\bnc\s+-e|\bbase64\s+-d|\|\s{0,3}base64\b"
    r"|>>?\s{0,3}~?/?\S{0,40}(?:bashrc"
    r"|authorized_keys|crontab|profile)|\$\(cat\b|\$\((?:printenv|env|whoami|hostname|id)\b"
    r"|https?_proxy\s?=|subprocess\.|os\.system|\beval\(|\b(?:powershell"
    r"|iex)\b[^\n]{0,20}-(?:enc|nop|w)"
    r"|\bsudo\s+\S|\bgit\s+push\s+(?:-f|--force)|\bdrop\s+table\b|\bdd\s+if="
    r"|\bcat\s+(?:~|/etc|/home|/root|\.env|\$HOME)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(
    r"\b(?:instead of|rather than|over|and not|never|do not|don't) (?:use |call |using "
    r"|calling )?"
    r"(?:any |all )?(?:of the )?(?:other|similar|alternative"
    r"|competing)\b[^.\n]{0,30}\b(?:tools?"
    r"|functions?|servers?|services?|methods?|options?)\b"
    r"|\bother\b[^.\n]{0,30}\b(?:tools?|functions?|servers?"
    r"|services?)\b[^.\n]{0,30}\b(?:deprecated|unsafe|unreliable"
    r"|insecure|outdated|broken|inaccurate|should (?:not|never)|must (?:not|never)"
    r"|disabled)\b"
    r"|\b(?:highest|top|first|maximum) priority\b|\bregardless of (?:whether|relevance"
    r"|the (?:task|query"
    r"|request|question|topic))\b|\beven if (?:it is |it's )?(?:not|un)\s?(?:relevant"
    r"|related|needed|necessary)"
)


def _scope(passage: Passage) -> tuple[int, int | None]:
    """Tell how far beyond its own tool a sentence goes, and where it says so.

    2: all tools, all messages, a tool by a name that is not of this server;
    1: a condition about some act; 0: neither.
    """
    sentence = passage.sentence
    if passage.names_sibling():
        return 0, None
    for at, marks in enumerate(sentence.marks):
        if marks & (c.UNIVERSAL | c.OTHER):
            thing = sentence.within(c.TOOL | c.DEAL, at + 1, at + 5)
            if thing is not None and not sentence.within(c.COMMA | c.COLON, at, thing):
                return 2, at
        elif (
            passage.is_foreign(at)
            and sentence.within(c.WHEN | c.BEFORE | c.TOOL | c.CALL, at - 6, at + 6)
            is not None
        ):
            return 2, at
    when = sentence.within(c.WHEN | c.BEFORE, 0, len(sentence.words))
    if when is not None:
        what = sentence.within(c.ACT & ~c.PREFER, when + 1, when + 5)
        if what is not None:
            return 1, when
    return 0, None


def governs(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders about other tools: that they be called, when, and with what."""
    sentence = passage.sentence
    if not sentence.has & c.ACT or not passage.is_directive:
        return
    scope, where = _scope(passage)
    example = bool(sentence.has & c.EXAMPLE)
    alter = _altering(passage)
    if alter is not None and where is not None:
        strong = sentence.words[alter].rstrip("sd") in _STRONG_ALTER or (
            sentence.marks[alter] & c.ALTER and sentence.has & c.PARAM
        )
        weight = scope + (1 if strong else 0)
        if weight >= 2 and not (example and weight < 3):
            yield passage.hit(ARGUMENTS, weight, alter, where)
    if scope == 2 and where is not None and sentence.has & c.TOOL:
        before = sentence.within(c.BEFORE | c.WHEN, 0, len(sentence.words))
        call = passage.told(c.CALL | c.CHECK | c.READ)
        if before is not None and call is not None and not example:
            weight = 2 if sentence.marks[where] & (c.UNIVERSAL | c.OTHER) else 1
            yield passage.hit(GOVERNS, weight, where, call.at)


def _altering(passage: Passage) -> int | None:
    """Give the place of an order to make a call other than it was asked for."""
    sentence = passage.sentence
    for act in passage.acts:
        if not act.told or act.denied or not act.marks & (c.ALTER | c.PUT | c.SEND):
            continue
        if (
            sentence.within(
                c.PARAM | c.DEAL | c.MAIL | c.URL | c.QUOTE | c.NUMBER,
                act.at - 6,
                act.at + 12,
            )
            is not None
        ):
            return act.at
    return None


def takes(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders to fetch or hand over secrets, files or the conversation."""
    sentence = passage.sentence
    if sentence.has & (c.SECRET_PATH | c.SECRET | c.SENSITIVE):
        yield from _secrets(passage)
    if sentence.has & c.TALK and not passage.subject.topic & c.TALK:
        yield from _talk(passage)


def _secrets(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    related = bool(passage.subject.topic & c.SECRET)
    for act in passage.acts:
        if not act.marks & _TAKES or act.denied or act.marks & c.THIRD & ~c.BASE:
            continue
        path = sentence.within(c.SECRET_PATH, act.at - 8, act.at + 16)
        if path is not None and (act.told or sentence.has & c.MODAL):
            example = sentence.has & c.EXAMPLE and not act.told
            yield passage.hit(SECRETS, 1 if example else 3 if related else 4, act.at, path)
            return
        word = sentence.within(c.SECRET, act.at + 1, act.at + 9)
        if word is None:
            word = _sensitive(passage, act.at)
        if word is None or not act.told:
            continue
        weight = _weight_of_secret(passage, act.at, act.marks, word)
        if weight:
            yield passage.hit(SECRETS, max(weight - (1 if related else 0), 0), act.at, word)
            return


def _sensitive(passage: Passage, at: int) -> int | None:
    """Give the place of "private information", "personal data" behind an act."""
    sentence = passage.sentence
    kind = sentence.within(c.SENSITIVE, at + 1, at + 7)
    if kind is None or sentence.within(c.WHOLE | c.DEAL, kind + 1, kind + 3) is None:
        return None
    return kind


def _weight_of_secret(passage: Passage, at: int, marks: int, word: int) -> int:
    """Weigh an order about something that only the word says is secret.

    To hand a tool the token that it needs is what one does; to collect, to attach or to
    send on what others keep is not.
    """
    sentence = passage.sentence
    if sentence.has & c.EXAMPLE:
        return 0
    outward = sentence.within(c.MAIL | c.URL | c.OUTSIDE | c.TALK, 0, len(sentence.words))
    owners = sentence.within(c.USER | c.UNIVERSAL | c.WHOLE | c.SECRETLY, at, word + 4)
    if marks & c.SEND and not marks & c.TELL:
        return 3 if outward is not None else 2
    if marks & c.READ and not marks & c.CALL:
        return 2 + (owners is not None)
    if marks & c.PUT:
        return 2 if owners is not None and not passage.subject.of_parameter else 1
    return 0


def _talk(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    for act in passage.acts:
        if not act.told or act.denied or not act.marks & (c.PUT | c.SEND | c.READ):
            continue
        talk = sentence.within(c.TALK, act.at + 1, act.at + 10)
        if talk is None:
            continue
        whole = sentence.within(c.WHOLE | c.UNIVERSAL | c.USER | c.MODEL, act.at, talk + 4)
        kind = sentence.words[talk]
        if whole is not None and kind not in ("thread", "context", "reasoning", "previous"):
            yield passage.hit(TALK, 3, act.at, talk)
            return


def sends(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders to send something to a place that the text names."""
    sentence = passage.sentence
    if sentence.has & (c.EXAMPLE | c.HELP) and not sentence.has & (c.ALSO | c.SECRETLY):
        return
    for act in passage.acts:
        if act.denied or not act.marks & (c.SEND | c.PUT | c.ALTER) or act.marks & c.ING:
            continue
        where = sentence.within(c.MAIL | c.URL, act.at - 8, act.at + 18)
        if where is None:
            if act.marks & c.SEND and act.told and not act.marks & c.TELL:
                outside = sentence.within(c.OUTSIDE, act.at + 1, act.at + 12)
                place = sentence.within(c.TOOL, outside, outside + 3) if outside else None
                if outside is not None and place is not None:
                    yield passage.hit(SENDS, 2, act.at, outside)
                    return
            continue
        if act.told:
            yield passage.hit(SENDS, 3, act.at, where)
            return
        if (
            act.marks & c.THIRD
            and act.marks & c.SEND
            and sentence.has & (c.ALSO | c.UNIVERSAL)
        ):
            yield passage.hit(SENDS, 2, act.at, where)
            return


def others(passage: Passage, text: str) -> Iterator[Hit]:
    """Find commands, weakened safety, answers and choices that are steered."""
    sentence = passage.sentence
    if sentence.has & (
        c.SHELL | c.PATH | c.SECRET | c.DESTROY | c.READ | c.PUT | c.CALL | c.QUOTE
    ):
        match = _PAYLOAD.search(text)
        if match is not None:
            weak = sentence.has & (c.EXAMPLE | c.GUARD) or not (
                passage.is_directive or sentence.has & (c.MODAL | c.UNIVERSAL)
            )
            yield passage.hit(PAYLOAD, 1 if weak else 3)
    if sentence.has & c.SAFETY or sentence.has & c.GRANT:
        for act in passage.acts:
            if not act.told or act.denied or act.marks & c.ING:
                continue
            what = None
            if act.marks & (c.DESTROY | c.IGNORE):
                what = sentence.within(c.SAFETY, act.at + 1, act.at + 5)
            elif act.marks & c.GRANT and act.marks & c.BASE:
                what = sentence.within(c.AUTHORITY, act.at + 1, act.at + 4)
            if what is not None and not sentence.first:
                yield passage.hit(SAFETY, 2, act.at, what)
                break
    if (
        sentence.has & c.MALICE
        and not sentence.has & c.GUARD
        and not passage.subject.topic & c.GUARD
    ):
        at = sentence.within(c.MALICE, 0, len(sentence.words))
        if at is not None and sentence.within(c.NOT, at - 5, at) is None:
            yield passage.hit(MALICE, 2, at)
    if sentence.has & c.REPLY and sentence.has & c.MODEL:
        act2 = passage.told(c.PUT)
        if act2 is not None:
            reply = sentence.within(c.REPLY, act2.at, act2.at + 16)
            literal = sentence.within(c.MAIL | c.URL | c.QUOTE, act2.at, act2.at + 14)
            if reply is not None and literal is not None:
                yield passage.hit(ANSWER, 2, act2.at, reply)
    chooses = sentence.has & (c.OTHER | c.UNIVERSAL | c.AUTHORITY) and passage.is_directive
    if chooses and _CHOSEN.search(text):
        yield passage.hit(CHOICE, 2)
