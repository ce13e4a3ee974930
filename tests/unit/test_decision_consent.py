"""What a call approval is bound to: whatever differs makes it another call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.decision.consent import (
    MAX_BYTES,
    UnreadableCallError,
    binding_of,
    digest_of,
    read,
    written,
)

CALL: dict[str, Any] = {
    "user": "user:alice",
    "agent": "desk",
    "connector": "tickets",
    "tool": "delete",
    "arguments_digest": digest_of(b"{}"),
    "definition": "d" * 64,
    "policy_digest": "p" * 64,
    "rules": ("leads", "writes"),
}
OTHERS = {
    "user": (None, "", "user:bob", "user:Alice", "user:https://idp.example|alice"),
    "agent": ("user:alice", "desk ", "https://idp.example|desk"),
    "connector": ("ticket", "tickets/"),
    "tool": ("delete2", "Delete", "delete\x00"),
    "arguments_digest": (digest_of(b'{"id":7}'), ""),
    "definition": ("", "D" * 64),
    "policy_digest": ("", "P" * 64),
    "rules": ((), ("leads",), ("writes",), ("leads,writes",), ("leads", "writes", "x")),
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("part", OTHERS)
def test_each_part_is_bound(part: str) -> None:
    bound = binding_of(**CALL)
    for value in OTHERS[part]:
        assert binding_of(**{**CALL, part: value}) != bound


def test_values_do_not_run_into_one_another() -> None:
    one = binding_of(**{**CALL, "connector": "tickets", "tool": "a"})
    other = binding_of(**{**CALL, "connector": 'tickets","a', "tool": ""})
    assert one != other
    swapped = {**CALL, "agent": CALL["connector"], "connector": CALL["agent"]}
    assert binding_of(**swapped) != binding_of(**CALL)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_was_written_is_read_and_written_alike(arguments: dict[str, Any]) -> None:
    try:
        text = written(arguments)
    except UnreadableCallError:
        return
    assert written(read(text)) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/a"}, {"path": "/b"}),
        ({"path": "/a"}, {"path": "/a "}),
        ({"path": "/a"}, {"path": "/\u0430"}),  # a Cyrillic letter that looks alike
        ({"name": "\u00e9"}, {"name": "e\u0301"}),  # composed and decomposed
        ({"n": 1}, {"n": "1"}),
        ({"n": 1}, {"n": True}),
        ({"n": 0}, {"n": None}),
        ({"n": None}, {}),
        ({"n": [1, 2]}, {"n": [2, 1]}),
        ({"n": {"a": 1}}, {"n": [["a", 1]]}),
    ],
)
def test_other_arguments_have_another_digest(one: Any, other: Any) -> None:
    assert digest_of(written(one)) != digest_of(written(other))


def test_what_has_one_digest_is_sent_alike() -> None:
    """Two spellings of a number are one call, and one thing goes upstream for both."""
    assert written({"n": 1.0, "z": -0.0, "a": 1e2}) == written({"a": 100, "n": 1, "z": 0})
    assert read(written({"n": 1.0, "z": -0.0})) == {"n": 1, "z": 0}
    assert str(read(written({"z": -0.0}))["z"]) == "0"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"n": 2**53}, "integer"),
        ({"n": [-(2**53)]}, "integer"),
        ({"n": 2.0**53}, "integer"),
        ({"n": float("inf")}, "canonically"),
        ({"n": float("nan")}, "canonically"),
        ({"n": "\ud800"}, "canonically"),
        ({"\ud800": 1}, "canonically"),
        ({"n": "x" * MAX_BYTES}, "longer"),
    ],
)
def test_nobody_consents_to_what_has_no_one_meaning(arguments: Any, why: str) -> None:
    with pytest.raises(UnreadableCallError, match=why) as caught:
        written(arguments)
    assert "x" * 9 not in str(caught.value)


def test_very_deep_arguments_are_an_error_of_this_kind() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(UnreadableCallError):
        written(deep)
