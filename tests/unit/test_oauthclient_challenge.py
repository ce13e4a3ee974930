"""Challenges as servers write them, well and badly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.oauthclient.challenge import (
    MAX_CHARACTERS,
    MAX_LINES,
    Challenge,
    parse_challenges,
    scope_challenge,
    token_challenge,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Bearer", [("bearer", {})]),
        (
            'Bearer realm="a, b", scope="x y"',
            [("bearer", {"realm": "a, b", "scope": "x y"})],
        ),
        (
            'bearer  ERROR=invalid_token , error_description="say \\"no\\""',
            [("bearer", {"error": "invalid_token", "error_description": 'say "no"'})],
        ),
        (
            'Negotiate, Basic realm="x", DPoP algs="ES256", Bearer scope="a"',
            [
                ("negotiate", {}),
                ("basic", {"realm": "x"}),
                ("dpop", {"algs": "ES256"}),
                ("bearer", {"scope": "a"}),
            ],
        ),
        ("Negotiate YWJj==, Bearer", [("negotiate", {}), ("bearer", {})]),
        ('Bearer scope="a", scope="b"', [("bearer", {"scope": "a"})]),
        (", ,Bearer scope=a,, ", [("bearer", {"scope": "a"})]),
        ('Bearer scope="a', [("bearer", {})]),
        ('scope="a", Bearer', []),
        ("Bearer " + "a" * (16 << 10), []),
        ("", []),
    ],
)
def test_what_a_line_says(line: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(it.scheme, it.parameters) for it in parse_challenges([line])] == expected


@given(st.lists(st.text()))
def test_any_text_is_read(lines: list[str]) -> None:
    for challenge in parse_challenges(lines):
        assert challenge.scopes is not None


def test_long_nonsense_takes_no_time() -> None:
    for piece in ("a ", 'a="', "a=,", ", ", '"\\', "a" * 100 + "="):
        parse_challenges([piece * (MAX_CHARACTERS // len(piece))])


def test_the_challenge_that_describes_itself_wins() -> None:
    found = token_challenge(
        [
            "Basic realm=x, Bearer scope=a",
            'DPoP resource_metadata="https://a/m", scope="b a b"',
        ]
    )
    assert found is not None
    assert found.resource_metadata == "https://a/m"
    assert found.scopes == ("b", "a")
    assert token_challenge(["Basic realm=x"]) is None
    assert token_challenge(["Basic realm=x, Bearer"]) == Challenge("bearer")


def test_no_more_is_read_of_an_answer_than_bounds_allow() -> None:
    half = "Bearer a=" + "x" * (MAX_CHARACTERS // 2)
    assert len(parse_challenges([half, half, "Bearer"])) == 1
    assert parse_challenges(["x" * (MAX_CHARACTERS + 1)]) == ()
    assert len(parse_challenges(["Bearer"] * 100)) == MAX_LINES


def test_a_refusal_for_scopes_is_found_among_others() -> None:
    wanted = 'Bearer error="insufficient_scope", scope="a"'
    found = scope_challenge(["Basic realm=x, Bearer scope=b", wanted])
    assert found is not None
    assert found.scopes == ("a",)
    for line in (
        'Basic error="insufficient_scope", scope="a"',
        'Bearer error="invalid_token", scope="a"',
        'Bearer error="INSUFFICIENT_SCOPE", scope="a"',
        'Bearer scope="a"',
        "",
    ):
        assert scope_challenge([line]) is None
