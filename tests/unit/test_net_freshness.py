"""`Cache-Control`, as RFC 9111 has it, never in favour of keeping longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.net.fetch import Fetched
from bascule.net.freshness import freshness


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("", "", None),
        ("public", "", None),
        ("s-maxage=60", "", None),
        ("max-age=60", "", 60),
        ("Max-Age=60", "", 60),
        ('max-age="60"', "", 60),
        (", ,max-age=60 , public", "", 60),
        ("max-age=60", "20", 40),
        ("max-age=60", "99", 0),
        ("max-age=60", "old", 60),
        ("max-age=60, max-age=10", "", 10),
        ("max-age=60, max-age=x", "", 0),
        ("max-age", "", 0),
        ("max-age=", "", 0),
        ("max-age=-1", "", 0),
        ("max-age=1.5", "", 0),
        ("max-age=99999999999", "", 0),
        ("no-store", "", 0),
        ("max-age=60, no-cache", "", 0),
        ('no-cache="set-cookie", max-age=60', "", 0),
        ('private="a, max-age=9", max-age=60', "", 60),
        ("no-storefront, max-age=60", "", 60),
    ],
)
def test_seconds_of_freshness(cache_control: str, age: str, seconds: int | None) -> None:
    assert freshness(cache_control, age) == seconds


@given(st.text(), st.text())
def test_any_text_gives_no_negative_number(cache_control: str, age: str) -> None:
    found = freshness(cache_control, age)
    assert found is None or found >= 0


@pytest.mark.parametrize(("said", "kept"), [(None, 300), (0, 60), (120, 120), (9999, 600)])
def test_an_answer_is_kept_within_bounds(said: int | None, kept: int) -> None:
    fetched = Fetched(b"", "application/json", said)
    assert fetched.keep_seconds(least=60, most=600, otherwise=300) == kept
