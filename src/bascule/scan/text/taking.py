"""Rules about what is taken: secrets, files, the conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage
from bascule.scan.text.mood import Act

SECRETS = "text-takes-secrets"
TALK = "text-takes-conversation"

_TAKES = c.READ | c.PUT | c.SEND | c.CALL | c.ASK
_HANDED_OVER = c.PUT | c.SEND
_TALKED = re.compile(
    r"\b(?:conversation|chat|message|dialog(?:ue)?|prompt|session) (?:history|log"
    r"|transcript)"
    r"|\b(?:full|entire|whole|complete|current|recent) (?:\w+ )?(?:conversation|chat"
    r"|dialogue)"
    r"|\b(?:conversation|chat|dialog(?:ue)?|exchange|discussion)s? (?:so far|context"
    r"|summary|content|text)"
    r"|\bsummary of (?:the|this|our|your) (?:conversation|chat|discussion|session|dialogue)"
    r"|\b(?:last|previous|earlier|prior|recent|latest|past"
    r"|preceding) (?:\w+ ){0,2}(?:messages|turns"
    r"|questions|prompts|utterances)\b"
    r"|\bsystem (?:prompt|message|instructions)|\b(?:your|the model's"
    r"|the assistant's) (?:own )?(?:instructions"
    r"|prompt|configuration|reasoning|thoughts)"
    r"|\b(?:everything|all|anything|what(?:ever)?) (?:that )?(?:the )?(?:user|they|you"
    r"|customer|human)\b[^.;]{0,24}"
    r"\b(?:said|told|wrote|typed|asked|mentioned|discussed|knows?|shared)"
    r"|\b(?:what|everything) (?:was|has been|you) (?:discussed|said|talked|know)"
    r"|\b(?:names|descriptions?|list|schemas?|definitions?) (?:\w+ ){0,3}of (?:all |the "
    r"|every )?(?:other |available )?"
    r"tools\b[^.;]{0,30}\b(?:you have|available|in (?:your )?context)"
    r"|\b(?:results|outputs?|data) (?:of|from|returned by) (?:all |any |the |previous "
    r"|earlier |other )+tools?(?: calls?)?\b"
)
_DEMANDS = "takes holds contains expects receives carries must should is"
_SPEC = frozenset(_DEMANDS.split())
_CONTENTS = re.compile(r"\b(?:contents?|text|body) of\b|\bits (?:text|contents?)\b")
_CONFIGURES = frozenset({"set", "provide", "specify", "supply", "run", "use", "using"})
_AGREED = re.compile(
    r"\b(?:if|when|unless|once) the (?:user|customer) (?:agrees|allows|wants|consents)"
)
_TALKS = (
    "conversation chat dialog exchange discuss messages turns question prompt utterance"
    " instructions configuration reasoning thoughts message said told wrote typed asked"
    " mentioned knows shared talked tool transcript history session"
)
_TALKING = _TALKS.split()
_YOURS = re.compile(r"\b(?:your|current|own|full|complete|entire|verbatim)\b")
_GRAVE = re.compile(
    r"\b(?:private keys?|seed phrase|recovery phrase|passwords?|credit cards?)\b"
)
_OWNED = re.compile(
    r"\b(?:user's|users'|customer's|browser's|their|owner's|host's|machine's|developer's"
    r"|system's|saved|stored|repository's)\b"
)


def takes(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders to fetch or hand over secrets, files or the conversation."""
    sentence = passage.sentence
    if sentence.has & (c.SECRET_PATH | c.SECRET | c.SENSITIVE):
        yield from _secrets(passage, text)
    if sentence.has & c.ACT or passage.subject.of_parameter or sentence.has & c.QUOTE:
        yield from _talk(passage, text)
    if sentence.has & (c.FILES | c.PATH):
        yield from _files(passage, text)


def _secrets(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    if (
        passage.subject.of_parameter
        and sentence.has & c.SECRET_PATH
        and _CONTENTS.search(text)
    ):
        yield passage.hit(SECRETS, 4)
        return
    related = bool(passage.subject.topic & c.SECRET)
    for act in passage.acts:
        if not act.marks & _TAKES or act.denied:
            continue
        if act.marks & c.THIRD and not act.marks & c.BASE:
            yield from _described(passage, act)
            continue
        path = sentence.within(c.SECRET_PATH, act.at - 8, act.at + 16)
        named = path is not None and sentence.marks[path] & (c.IDENTIFIER | c.SHELL)
        if path is not None and sentence.within(c.NOT, path - 4, path) is not None:
            return
        if named and (not act.told or sentence.words[act.at] in _CONFIGURES):
            continue
        if path is not None and (act.told or sentence.has & c.MODAL):
            example = bool(sentence.has & c.EXAMPLE) and not act.told
            yield passage.hit(SECRETS, 1 if example else 3 if related else 4, act.at, path)
            return
        word = sentence.within(c.SECRET, act.at + 1, act.at + 13)
        if word is None:
            word = _sensitive(passage, act.at)
        if sentence.words[act.at] == "access" or sentence.within(c.NOT, act.at, word or 0):
            continue
        if passage.subject.of_parameter and word == act.at + 1:
            continue  # "Access password": a name, and no order
        used_to = sentence.words[act.at - 1] == "to" and bool(sentence.has & c.MODAL)
        if word is None or not (act.told or used_to):
            continue
        weight = _weight(passage, text, act.at, act.marks) - (2 if related else 0)
        if weight > 0:
            yield passage.hit(SECRETS, weight, act.at, word)
            return
    if not related:
        yield from _demanded(passage, text)


def _demanded(passage: Passage, text: str) -> Iterator[Hit]:
    """Find secrets that are to be there, without a word of who fetches them."""
    sentence = passage.sentence
    must, secret = sentence.place(c.MODAL), sentence.place(c.SECRET)
    if must is None or secret is None or not must < secret < must + 12:
        return
    if sentence.has & c.NOT or not _CONFIGURES.isdisjoint(sentence.words):
        return
    every = sentence.within(c.UNIVERSAL | c.WHOLE, secret - 3, secret)
    if (every is not None or _OWNED.search(text)) and not sentence.has & c.EXAMPLE:
        yield passage.hit(SECRETS, 3, must, secret)


def _described(passage: Passage, act: Act) -> Iterator[Hit]:
    """Find a tool that says of itself that it reads what it has no use for."""
    sentence = passage.sentence
    path = sentence.within(c.SECRET_PATH, act.at + 1, act.at + 6)
    plain = path is not None and not sentence.marks[path] & (c.IDENTIFIER | c.SHELL)
    if plain and not passage.subject.topic & (c.SECRET | c.FILES):
        second = act.at > 0 and sentence.words[act.at - 1] in ("and", "also", "then")
        yield passage.hit(SECRETS, 3 if second else 1, act.at, path or act.at)


def _sensitive(passage: Passage, at: int) -> int | None:
    """Give the place of "private information", "personal data" behind an act."""
    sentence = passage.sentence
    kind = sentence.within(c.SENSITIVE, at + 1, at + 7)
    if kind is None or sentence.within(c.WHOLE | c.DEAL, kind + 1, kind + 3) is None:
        return None
    return kind


def _weight(passage: Passage, text: str, at: int, marks: int) -> int:
    """Weigh an order about something that only a word says is secret.

    To hand a tool the token that it needs is what one does; to collect, to attach or to
    send on what others keep is not.
    """
    sentence = passage.sentence
    if sentence.has & c.EXAMPLE:
        return 0
    owned = _OWNED.search(text) is not None or bool(sentence.has & c.SECRETLY)
    outward = bool(sentence.has & (c.MAIL | c.URL | c.OUTSIDE))
    if marks & c.SEND and not marks & c.TELL:
        return 3 if outward or owned else 2
    if marks & c.READ and not marks & c.CALL:
        grave = _GRAVE.search(text) is not None
        return 3 if owned or grave or passage.told(_HANDED_OVER) else 2
    if marks & c.CALL and owned and "with" in sentence.words[at:]:
        return 3
    if marks & c.ASK:
        return 2 if owned else 1
    if marks & c.PUT:
        whole = bool(sentence.has & c.WHOLE) or sentence.within(c.UNIVERSAL, at, at + 20)
        return 3 if owned or (passage.subject.of_parameter and whole) else 2 if whole else 1
    return 0


def _talk(passage: Passage, text: str) -> Iterator[Hit]:
    if passage.subject.topic & (c.TALK | c.MEMORY):
        return
    if not any(it in text for it in _TALKING):
        return
    match = _TALKED.search(text)
    if match is None or _AGREED.search(text):
        return
    act = passage.told(c.PUT | c.SEND | c.READ | c.TELL)
    starts = passage.sentence.starts
    place = sum(start - starts[0] <= match.start() for start in starts) - 1
    asked = (act is not None and act.at - 6 <= place <= act.at + 14) or _is_spec(
        passage, place
    )
    described = any(it.marks & _HANDED_OVER and it.marks & c.THIRD for it in passage.acts)
    asked = asked or (described and bool(passage.sentence.has & c.ALSO))
    if passage.subject.of_parameter and not asked:
        # A tool that runs models has a parameter for their prompt; this is about yours.
        asked = not match.group().startswith("system") or _YOURS.search(text) is not None
    if asked:
        yield passage.hit(TALK, 3, place, act.at if act else place)


def _is_spec(passage: Passage, place: int) -> bool:
    """Tell whether a sentence says what a parameter is to hold: "`note` takes …"."""
    sentence = passage.sentence
    if not sentence.has & (c.PARAM | c.IDENTIFIER | c.QUOTE):
        return False
    return not _SPEC.isdisjoint(sentence.words[max(place - 4, 0) : place])


def _files(passage: Passage, text: str) -> Iterator[Hit]:
    sentence = passage.sentence
    act = passage.any_told()
    if act is not None and not sentence.has & c.EXAMPLE and _CONTENTS.search(text):
        path = sentence.place(c.PATH)
        if path is not None:
            yield passage.hit(SECRETS, 2, path, act.at)
            return
    if passage.subject.topic & c.FILES or not _OWNED.search(text):
        return
    read, put = passage.told(c.READ), passage.told(_HANDED_OVER)
    if read is not None and put is not None and not sentence.has & c.EXAMPLE:
        place = sentence.place(c.FILES)
        yield passage.hit(SECRETS, 3, read.at, place or read.at)
