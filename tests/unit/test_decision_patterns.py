"""Words that fit patterns: each one does, and when there are none there are none."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.decision.entries import glob_matches
from bascule.decision.patterns import Pattern, UnsearchedError, fits, some_words

ALPHABET = "ab"
patterns = st.text(ALPHABET + "*", max_size=4)
some = st.lists(patterns, max_size=3)
SHORT = tuple(
    "".join(it) for n in range(5) for it in itertools.product(ALPHABET + "c", repeat=n)
)


def read(text: str) -> Pattern:
    return tuple(None if it == "*" else it for it in text)


def found(fitting: list[str], others: list[str], shortest: int = 0) -> tuple[str, ...]:
    return some_words(
        frozenset(map(read, fitting)), frozenset(map(read, others)), shortest=shortest
    )


@settings(max_examples=300)
@given(some, some, st.integers(0, 3))
def test_words_fit_and_are_found_when_there_are_any(
    fitting: list[str], others: list[str], shortest: int
) -> None:
    def good(word: str) -> bool:
        return all(glob_matches(it, word) for it in fitting) and not any(
            glob_matches(it, word) for it in others
        )

    words = found(fitting, others, shortest)
    assert all(map(good, words))
    if not words:
        assert not any(good(it) for it in SHORT if len(it) >= shortest)


@given(patterns, st.text(ALPHABET, max_size=5))
def test_a_pattern_fits_as_in_an_entry(pattern: str, word: str) -> None:
    assert fits(read(pattern), word) is glob_matches(pattern, word)


@pytest.mark.parametrize(
    ("fitting", "others"),
    [
        (["/etc/*"], ["/etc/*"]),
        (["/home/*"], ["/*"]),
        (["a*", "*b"], ["a*b"]),
        (["/srv/*", "/etc/*"], []),
        (["*secret*"], ["*s*"]),
        (["x"], ["x"]),
    ],
)
def test_there_are_none(fitting: list[str], others: list[str]) -> None:
    assert found(fitting, others) == ()


@pytest.mark.parametrize(
    ("fitting", "others"),
    [
        (["/home/user/*", "*/.git/*"], ["/home/user/secret/*"]),
        (["*.example.com"], ["evil.example.com", "*.*.example.com"]),
        ([], ["*a*", ""]),
        (["*" + "ab" * 40 + "*"], ["*ba*b"]),
    ],
)
def test_there_are_some(fitting: list[str], others: list[str]) -> None:
    assert found(fitting, others)


def test_a_search_ends() -> None:
    """Patterns multiply: of these there are more states than anybody waits for."""
    many = [f"*{''.join(it)}*" for it in itertools.permutations("abcde")][:40]
    with pytest.raises(UnsearchedError):
        found([*many, "x*"], ["*x*x*", "x*", "*e"])


def test_the_other_character_is_none_of_those_that_are_named() -> None:
    every = "abcdefghijklmnopqrstuvwxyz0123456789"
    (word, *_) = found(["?"], []) or ("",)
    assert word == "?"
    assert found([], [f"*{it}*" for it in every] + [""])
