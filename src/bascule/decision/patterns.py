"""Words that fit some patterns and not others: found, or shown not to exist.

A pattern is characters and wildcards, as Cedar's `like` has them; the languages of such
patterns are regular, so that their intersection is searched state by state. A word that is
written out is a pattern without wildcards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice

from bascule.errors import BasculeError

WILDCARD = None
Pattern = tuple[str | None, ...]
"""Characters, one by one, and `WILDCARD`."""

_MOST_STEPS = 20_000
"""Characters read by single patterns; some ten milliseconds."""
_VISITS = 3
"""Words that may lead to one state: the first may be refused by who asks."""
_ORDINARY = "abcdefghijklmnopqrstuvwxyz0123456789"


class UnsearchedError(BasculeError):
    """The search was given up: nothing is shown."""


@lru_cache(maxsize=4096)
def some_words(
    fitting: frozenset[Pattern],
    others: frozenset[Pattern],
    *,
    shortest: int = 0,
    most: int = 3,
) -> tuple[str, ...]:
    """Give a few words that fit all of some patterns and none of the others.

    None when there are none. Raises `UnsearchedError` when that would take too long to say.
    """
    needed, unwanted = sorted(fitting, key=repr), sorted(others, key=repr)
    guess = _guess(needed, [*needed, *unwanted], shortest)
    is_good = all(fits(it, guess) for it in needed) and not any(
        fits(it, guess) for it in unwanted
    )
    found = _search(needed, unwanted, shortest)
    if not is_good:
        return tuple(islice(found, most))
    words = [guess]
    with suppress(UnsearchedError):
        words += islice((it for it in found if it != guess), most - 1)
    return tuple(words)


def _guess(needed: Sequence[Pattern], patterns: Sequence[Pattern], shortest: int) -> str:
    """Put the pieces of all patterns one after another: mostly that is enough."""
    other = _alphabet(patterns)[0]
    split = [_pieces(pattern) for pattern in needed]
    whole = next((it[0] for it in split if len(it) == 1), None)
    if whole is not None:
        return whole
    begin = max((it[0] for it in split), key=len, default="")
    end = max((it[-1] for it in split), key=len, default="")
    inner = [piece for it in split for piece in it[1:-1]]
    middle = other.join(["", *inner, ""])
    return begin + middle.ljust(shortest - len(begin) - len(end), other) + end


def _pieces(pattern: Pattern) -> list[str]:
    found = [""]
    for element in pattern:
        if element is WILDCARD:
            found.append("")
        else:
            found[-1] += element
    return found


def _search(
    fitting: Sequence[Pattern], others: Sequence[Pattern], shortest: int
) -> Iterator[str]:
    """Give all words up to some length, short ones first; raises `UnsearchedError`."""
    automata = [_Automaton(pattern) for pattern in (*fitting, *others)]
    count = len(fitting)
    alphabet = _alphabet((*fitting, *others))
    start = (tuple(it.start for it in automata), 0)
    visits = {start: 1}
    queue = deque([(start, "")])
    steps = 0
    while queue:
        (states, length), word = queue.popleft()
        ends = [it.ends(state) for it, state in zip(automata, states, strict=True)]
        if length >= shortest and all(ends[:count]) and not any(ends[count:]):
            yield word
        for character in alphabet:
            steps += len(automata)
            if steps > _MOST_STEPS:
                raise UnsearchedError("too many words to look at")
            after = tuple(
                [
                    it.step(state, character)
                    for it, state in zip(automata, states, strict=True)
                ]
            )
            if not all(after[:count]):
                continue
            reached = (after, min(length + 1, shortest))
            if visits.get(reached, 0) < _VISITS:
                visits[reached] = visits.get(reached, 0) + 1
                queue.append((reached, word + character))


class _Automaton:
    """A pattern, and in which of its places one may be after some characters."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._steps: dict[tuple[int, str], int] = {}
        self.start = _closed(pattern, 1)

    def ends(self, state: int) -> bool:
        return bool(state >> len(self._pattern) & 1)

    def step(self, state: int, character: str) -> int:
        after = self._steps.get((state, character))
        if after is None:
            after = self._steps[state, character] = _step(self._pattern, state, character)
        return after


def fits(pattern: Pattern, word: str) -> bool:
    """Tell whether a word fits a pattern."""
    states = _closed(pattern, 1)
    for character in word:
        states = _step(pattern, states, character)
    return bool(states >> len(pattern) & 1)


def _alphabet(patterns: Sequence[Pattern]) -> list[str]:
    """Give every character that a pattern names and one that stands for all others."""
    named = {it for pattern in patterns for it in pattern if it is not None}
    other = next((it for it in _ORDINARY if it not in named), None)
    if other is None:
        other = next(it for it in map(chr, range(0xA1, 0xD800)) if it not in named)
    return [other, *sorted(named)]


def _step(pattern: Pattern, states: int, character: str) -> int:
    """Read one character. Bit n: the first n elements are done."""
    after = 0
    for n, element in enumerate(pattern):
        if states >> n & 1:
            if element is WILDCARD:
                after |= 1 << n
            elif element == character:
                after |= 1 << (n + 1)
    return _closed(pattern, after)


def _closed(pattern: Pattern, states: int) -> int:
    """Add the states that are reached by reading nothing for a wildcard."""
    for n, element in enumerate(pattern):
        if element is WILDCARD and states >> n & 1:
            states |= 1 << (n + 1)
    return states
