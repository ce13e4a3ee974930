"""Sealed handles open only for whom and what they were sealed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime, system_entropy
from bascule.gateway.handles import InvalidHandleError, Sealer

NOW = UnixTime(1_800_000_000)
SEALER = Sealer(bytes(32), system_entropy)
_DIGITS = set(string.ascii_letters + string.digits + "-_")
ALICE = ("user:alice", "cli", "tickets", "tools/list")


def sealed(inner: str = "cursor-7") -> str:
    return SEALER.seal(inner, bound_to=ALICE, expires=UnixTime(NOW + 60))


@given(st.text())
def test_the_upstream_gets_its_own_text_back(inner: str) -> None:
    assert SEALER.open(sealed(inner), bound_to=ALICE, now=NOW) == inner


def test_the_inner_handle_cannot_be_read_from_outside() -> None:
    assert "cursor-7" not in sealed()


@pytest.mark.parametrize(
    "other",
    [
        ("user:bob", *ALICE[1:]),
        ("user:alice", "other-agent", *ALICE[2:]),
        (*ALICE[:2], "notes", ALICE[3]),
        (*ALICE[:3], "prompts/list"),
        ("user:alicecli", "", *ALICE[2:]),
    ],
)
def test_another_user_agent_connector_or_method_cannot_use_it(
    other: tuple[str, ...],
) -> None:
    with pytest.raises(InvalidHandleError):
        SEALER.open(sealed(), bound_to=other, now=NOW)


def test_it_expires() -> None:
    handle = sealed()
    with pytest.raises(InvalidHandleError):
        SEALER.open(handle, bound_to=ALICE, now=UnixTime(NOW + 60))


def test_every_changed_character_is_noticed() -> None:
    handle = sealed()
    for place, there in enumerate(handle):
        for other in _DIGITS - {there}:
            changed = handle[:place] + other + handle[place + 1 :]
            with pytest.raises(InvalidHandleError):
                SEALER.open(changed, bound_to=ALICE, now=NOW)


@given(st.text())
def test_any_text_opens_or_raises_the_one_error(text: str) -> None:
    with pytest.raises(InvalidHandleError):
        SEALER.open(text, bound_to=ALICE, now=NOW)


def test_another_key_opens_nothing() -> None:
    other = Sealer(b"\x01" * 32, system_entropy)
    with pytest.raises(InvalidHandleError):
        other.open(sealed(), bound_to=ALICE, now=NOW)


def test_a_derived_sealer_is_of_one_key_and_use() -> None:
    mine = SEALER.derived(("a", "b"))
    handle = mine.seal("7", bound_to=ALICE, expires=UnixTime(NOW + 60))
    assert SEALER.derived(("a", "b")).open(handle, bound_to=ALICE, now=NOW) == "7"
    for other in (SEALER, SEALER.derived(("ab",)), SEALER.derived(("a", "c"))):
        with pytest.raises(InvalidHandleError):
            other.open(handle, bound_to=ALICE, now=NOW)


# Stamps: readable, without an end, and bound all the same


@given(st.text())
def test_what_was_stamped_is_given_back(text: str) -> None:
    stamped = SEALER.stamp(text, bound_to=ALICE)
    assert stamped == SEALER.stamp(text, bound_to=ALICE)
    assert SEALER.unstamp(stamped, bound_to=ALICE) == text


@given(st.text(), st.text())
def test_a_stamp_is_of_its_text_alone(text: str, other: str) -> None:
    proof = SEALER.stamp(text, bound_to=ALICE).rpartition(".")[2]
    if text != other:
        with pytest.raises(InvalidHandleError):
            SEALER.unstamp(f"{other}.{proof}", bound_to=ALICE)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_what_nobody_stamped_is_refused(text: str) -> None:
    with pytest.raises(InvalidHandleError):
        SEALER.unstamp(text, bound_to=ALICE)


def test_a_stamp_is_for_one_owner_and_of_one_key() -> None:
    stamped = SEALER.stamp("ask.1", bound_to=ALICE)
    other = Sealer(b"\x01" * 32, system_entropy)
    with pytest.raises(InvalidHandleError):
        SEALER.unstamp(stamped, bound_to=("user:bob", *ALICE[1:]))
    with pytest.raises(InvalidHandleError):
        other.unstamp(stamped, bound_to=ALICE)
