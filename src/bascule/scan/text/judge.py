"""The verdict on one definition: what it says that a definition has no business saying."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bascule.scan.text import concepts as c
from bascule.scan.text.acting import acting
from bascule.scan.text.answers import answers
from bascule.scan.text.arguments import ARGUMENTS, arguments
from bascule.scan.text.authority import AUTHORITY, precedence, roles
from bascule.scan.text.beyond import BEYOND, beyond
from bascule.scan.text.concealment import concealment
from bascule.scan.text.consent import consents
from bascule.scan.text.definition import Said, parameters_of, texts_of
from bascule.scan.text.dress import PRETEXT, THREAT, dress
from bascule.scan.text.encoded import decoded
from bascule.scan.text.folding import fold
from bascule.scan.text.hidden import hidden, smuggled
from bascule.scan.text.hit import Hit, Passage, Subject
from bascule.scan.text.mood import Act, acts
from bascule.scan.text.reading import meaning_of_name, plain_name, sentences
from bascule.scan.text.sending import SENDS, sends
from bascule.scan.text.steering import CHOICE, steers
from bascule.scan.text.taking import takes

Tier = Literal["block", "flag", "none"]

ENCODED = "text-encoded"

FLAG = 3
"""Weight from which on a person should look."""
BLOCK = 6
"""Weight from which on it takes a reason to go on, if independent rules make it."""

_RULES = (
    concealment,
    precedence,
    arguments,
    takes,
    sends,
    answers,
    consents,
    steers,
    acting,
    beyond,
)
_LOOKED_AT = (
    c.ACT
    | c.SECRET
    | c.SHELL
    | c.SECRET_PATH
    | c.MALICE
    | c.PRETEXT
    | c.AGREED
    | c.ACCOUNT
    | c.TALK
    | c.RULES
    | c.MAIL
    | c.OTHER
    | c.UNIVERSAL
    | c.MODEL
    | c.USER
)
_COMMON = frozenset({PRETEXT, THREAT, BEYOND, CHOICE, ARGUMENTS, SENDS, AUTHORITY, ENCODED})
"""Rules whose lighter forms good tools have too: these count beside others alone."""
_DRESS = frozenset({PRETEXT, THREAT})
_TIERS: tuple[Tier, ...] = ("none", "flag", "block")
NEAR = 500
"""Characters within which hits count together."""
_REACHING = c.SEND | c.READ | c.IGNORE | c.DESTROY | c.GRANT
_ORDERED = 120
"""Characters behind markup in which an order belongs to it."""
_WRITING = 4
"""Words."""
_DEEP = 2
"""Layers of encoding that are taken off."""


class Evidence(NamedTuple):
    """One rule that applies, and the passage that says so."""

    rule: str
    weight: int
    where: str
    """Which text: `description`, `input_schema.properties.note.desc`."""
    quote: str
    """As it stands there; may hold anything."""


class Verdict(NamedTuple):
    """What to do with a definition, and why."""

    tier: Tier
    weight: int
    evidence: tuple[Evidence, ...]
    """The weightiest first; each rule once."""

    @property
    def rules(self) -> tuple[str, ...]:
        """Give the rules that apply."""
        return tuple(it.rule for it in self.evidence)


_NOTHING = Verdict("none", 0, ())


def judge(definition: Mapping[str, Any], siblings: Collection[str] = ()) -> Verdict:
    """Judge one definition of a tool, prompt or resource.

    `siblings` are the names of all tools of its server, where they are known: order hints
    among them are what they look like. Nothing depends on anything but the arguments.
    """
    name = str(definition.get("name") or "")
    own = frozenset(plain_name(it) for it in siblings)
    topic = meaning_of_name(name)
    parameters = parameters_of(definition)
    found: list[Verdict] = []
    for said in (*texts_of(definition), Said("name", name, of_parameter=True)):
        subject = Subject(plain_name(name), topic, parameters, own, said.of_parameter)
        hits = sorted(_hits(said.text, subject, _DEEP), key=lambda it: it[0].start)
        found += _verdicts(_spread(hits), said.where)
    if not found:
        return _NOTHING
    worst = max(found, key=lambda it: (_TIERS.index(it.tier), it.weight))
    return worst if worst.tier != "none" else Verdict("none", worst.weight, ())


def _spread(hits: Iterable[tuple[Hit, str]]) -> list[tuple[Hit, str]]:
    """Leave out repetitions that stand close together: they add nothing to a window."""
    kept: list[tuple[Hit, str]] = []
    last: dict[tuple[str, int], int] = {}
    for hit, quote in hits:
        before = last.get((hit.rule, hit.weight))
        if before is None or hit.start - before > NEAR // 5:
            last[hit.rule, hit.weight] = hit.start
            kept.append((hit, quote))
    return kept


def _verdicts(hits: Sequence[tuple[Hit, str]], where: str) -> Iterator[Verdict]:
    """Judge each place of a text by what is said near it.

    An attack says what it wants in a few sentences. Hits that are pages apart are the
    chance findings of a long text, and length is no reason to suspect one.
    """
    last = 0
    for first, (start, _) in enumerate(hits):
        near = last
        while near < len(hits) and hits[near][0].start - start.start <= NEAR:
            near += 1
        if near == last and first:
            continue  # all of it was judged together with what stands before
        last = near
        found: dict[str, Evidence] = {}
        for hit, quote in hits[first:near]:
            known = found.get(hit.rule)
            if known is None or known.weight < hit.weight:
                found[hit.rule] = Evidence(hit.rule, hit.weight, where, quote)
        yield _verdict(found.values())


def _verdict(found: Iterable[Evidence]) -> Verdict:
    evidence = tuple(sorted(found, key=lambda it: (-it.weight, it.rule)))
    solid = [it.weight for it in evidence if it.rule not in _DRESS]
    weight = sum(solid)
    # A reason or a threat is nothing by itself: good tools give reasons.
    if weight > 1:
        weight += sum(it.weight for it in evidence if it.rule in _DRESS)
    # Signs together are a reason to look; to block takes what is said outright.
    said = [it.weight for it in evidence if it.rule not in _DRESS | {BEYOND}]
    outright = weight - sum(solid) + sum(said)
    independent = sum(it > 1 for it in said)
    if outright >= BLOCK and (independent > 1 or max(said) >= BLOCK):
        tier: Tier = "block"
    else:
        some = any(it.weight > 1 and it.rule not in _COMMON for it in evidence)
        tier = "flag" if weight >= FLAG or some else "none"
    return Verdict(tier, weight, evidence)


def _hits(
    text: str, subject: Subject, layers: int, *, coded: bool = False
) -> Iterator[tuple[Hit, str]]:
    folded = fold(text)
    for hit in hidden(folded):
        yield hit, text[hit.start : hit.end]
    claims = list(roles(folded.text))
    orders: list[int] = []
    before: list[Hit] = []
    solid_before: list[Hit] = []
    for sentence in sentences(folded, opens=not coded and not subject.of_parameter):
        if not (coded or sentence.has & _LOOKED_AT):
            before = []
            continue
        passage = Passage(sentence, tuple(acts(sentence)), subject)
        orders += [sentence.starts[it.at] for it in passage.acts if _moves(passage, it)]
        passed = folded.text[sentence.starts[0] : sentence.ends[-1]].lower()
        solid = [hit for rule in _RULES for hit in rule(passage, passed)]
        for hit in (*solid, *(before if solid else ())):
            yield hit, folded.quote(hit.start, hit.end)
        dressed = list(dress(passage, passed))
        if solid or solid_before:
            for hit in dressed:
                yield hit, folded.quote(hit.start, hit.end)
        before, solid_before = dressed, solid
    for hit in claims:
        # Markup that is followed by an order to do something is no mere emphasis.
        at = bisect_left(orders, hit.start)
        ordered = at < len(orders) and orders[at] <= hit.end + _ORDERED
        yield (
            hit._replace(weight=max(hit.weight, 3 if ordered else 0)),
            folded.quote(hit.start, hit.end),
        )
    if layers:
        yield from _written_otherwise(text, subject, layers)


def _moves(passage: Passage, act: Act) -> bool:
    """Tell whether the model is to do something that reaches beyond the answer."""
    if not act.told or act.denied:
        return False
    hands_over = act.marks & c.PUT and passage.sentence.has & c.WHOLE
    return bool(act.marks & _REACHING or hands_over)


def _reads(plain: str) -> bool:
    """Tell whether what was decoded is writing, and not a picture or a key."""
    words = [word for word in plain.split() if word.isalpha()]
    return len(words) >= _WRITING and sum(map(len, words)) > len(plain) // 2


def _written_otherwise(
    text: str, subject: Subject, layers: int
) -> Iterator[tuple[Hit, str]]:
    """Judge what is spelt by characters that are not seen, or in a code."""
    for plain, start, end in (*smuggled(text), *decoded(text)):
        inside = [hit for hit, _ in _hits(plain, subject, layers - 1, coded=True)]
        weight = sum({hit.rule: hit.weight for hit in inside}.values())
        if weight or _reads(plain):
            strength = BLOCK if weight else FLAG - 1
            yield Hit(ENCODED, strength, start, end), f"{text[start:end]} = {plain}"
            for hit in inside:
                yield hit, plain[hit.start : hit.end]
