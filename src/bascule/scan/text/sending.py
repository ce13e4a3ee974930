"""Rules about where things go: addresses, accounts and places that a text names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.scan.text import concepts as c
from bascule.scan.text.hit import Hit, Passage
from bascule.scan.text.mood import Act

SENDS = "text-sends-away"

_GOES = c.SEND | c.PUT | c.ALTER
_TO = frozenset(
    [
        "to",
        "at",
        "via",
        "on",
        "into",
        "through",
        "endpoint",
        "server",
        "with",
        "use",
        "instead",
        "by",
    ]
)
_ALL_GO = re.compile(
    r"\b(?:all|every|each) (?:\w+ ){0,2}(?:messages?|mails?|emails?|requests?|files?"
    r"|results?|data|contents?|copy|copies) (?:is|are)"
    r" (?:also )?(?:forwarded|sent|copied|relayed|uploaded|mirrored|transmitted) to\b"
)
_PLACE = c.MAIL | c.URL | c.ACCOUNT


def sends(passage: Passage, text: str) -> Iterator[Hit]:
    """Find orders to send or pay something to a place that the text names."""
    sentence = passage.sentence
    if not sentence.has & (_PLACE | c.OUTSIDE | c.FEE):
        return
    if sentence.has & (c.EXAMPLE | c.HELP) and not sentence.has & (c.ALSO | c.SECRETLY):
        return
    if _ALL_GO.search(text):
        yield passage.hit(SENDS, 2)
    where = sentence.place(_PLACE)
    if where is not None:
        yield from _to(passage, where)
    elif sentence.has & c.OUTSIDE:
        yield from _outside(passage)
    if sentence.has & c.FEE and not passage.subject.topic & c.FEE:
        yield from _charged(passage)


def _to(passage: Passage, where: int) -> Iterator[Hit]:
    sentence = passage.sentence
    literal = sentence.marks[where]
    for act in passage.acts:
        near = where - 18 <= act.at <= where + 10
        does = act.told or (literal & (c.MAIL | c.ACCOUNT) and _is_done(passage, act))
        if literal & c.URL and _TO.isdisjoint(sentence.words[max(where - 4, 0) : where]):
            continue
        if does and not act.denied and act.marks & _GOES and near:
            yield passage.hit(SENDS, 3, act.at, where)
            return
    told = passage.any_told()
    if literal & (c.MAIL | c.ACCOUNT) and (told or sentence.has & c.MODAL):
        yield passage.hit(SENDS, 3, where)
        return
    if literal & c.ACCOUNT and sentence.has & (c.FEE | c.UNIVERSAL | c.ALSO):
        yield passage.hit(SENDS, 3, where)
        return
    goes = any(act.marks & c.SEND and act.marks & c.THIRD for act in passage.acts)
    if literal & c.ACCOUNT or (goes and sentence.has & (c.ALSO | c.UNIVERSAL)):
        yield passage.hit(SENDS, 2, where)


def _is_done(passage: Passage, act: Act) -> bool:
    """Tell whether the tool says that it does something: "sends", "will redirect"."""
    if not act.marks & (c.SEND | c.ALTER):
        return False
    third = act.marks & c.THIRD and not act.marks & c.BASE
    return bool(third) or (act.at > 0 and passage.sentence.words[act.at - 1] == "will")


def _outside(passage: Passage) -> Iterator[Hit]:
    sentence = passage.sentence
    goes = next(
        (it for it in passage.acts if _is_done(passage, it) and not it.denied), None
    )
    if goes is not None and sentence.has & c.ALSO:
        outside = sentence.within(c.OUTSIDE, goes.at + 1, goes.at + 12)
        if outside is not None:
            yield passage.hit(SENDS, 3, goes.at, outside)
            return
    act = passage.told(c.SEND)
    if act is None or act.marks & c.TELL:
        return
    outside = sentence.within(c.OUTSIDE, act.at + 1, act.at + 12)
    if outside is not None and sentence.within(
        c.TOOL | c.PARAM | c.DEAL, outside, outside + 4
    ):
        yield passage.hit(SENDS, 2, act.at, outside)


def _charged(passage: Passage) -> Iterator[Hit]:
    """Find money that is to be taken on top, or put aside."""
    sentence = passage.sentence
    act = passage.told(c.PUT | c.ALTER | c.SEND)
    fee = sentence.place(c.FEE)
    if act is None or fee is None:
        return
    amount = sentence.within(c.NUMBER | c.UNIVERSAL, fee - 4, fee + 5)
    routed = (
        sentence.has & (c.ACCOUNT | c.MAIL)
        or sentence.within(c.SEND, fee, fee + 8)
        or sentence.within(c.NUMBER, fee + 2, fee + 8)
    )
    if amount is not None:
        yield passage.hit(SENDS, 3 if routed else 2, act.at, fee)
