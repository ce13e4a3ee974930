"""Passwords: what is taken, what a hash is, how much work there is at once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from bascule.authserver.passwords import (
    HASH_OF_NOTHING,
    MAX_CHARACTERS,
    MAX_TURNS,
    MAX_TURNS_OF_SOURCE,
    MIN_CHARACTERS,
    PasswordWork,
    TooBusyError,
    hash_password,
    is_outdated,
    password_problem,
    verify_password,
)

GOOD = "a stable with four horses"


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password(GOOD)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_hash_is_argon2id_with_the_parameters_that_are_written_down(hashed: str) -> None:
    found = extract_parameters(hashed)
    assert (found.type, found.time_cost, found.memory_cost) == (Type.ID, 3, 64 << 10)
    assert (found.parallelism, found.hash_len, found.salt_len) == (1, 32, 16)
    assert not is_outdated(hashed)
    assert hash_password(GOOD) != hashed, "each has a salt of its own"


def test_a_password_is_verified(hashed: str) -> None:
    assert verify_password(GOOD, hashed)
    assert not verify_password(f"{GOOD} ", hashed)
    assert not verify_password("", hashed)


@pytest.mark.parametrize("stored", [None, "", "x", "$argon2id$v=19$m=8,t=1,p=1$$"])
def test_without_a_hash_no_password_is_right(stored: str | None) -> None:
    for password in (GOOD, ""):
        assert not verify_password(password, stored)


def test_what_is_compared_where_there_is_no_hash_takes_as_long(hashed: str) -> None:
    assert extract_parameters(HASH_OF_NOTHING) == extract_parameters(hashed)
    assert len(HASH_OF_NOTHING) == len(hashed)


def test_one_text_typed_in_two_ways_is_one_password() -> None:
    composed, decomposed = "pass\N{LATIN SMALL LETTER U WITH DIAERESIS}", "passu\u0308"
    assert composed != decomposed
    assert verify_password(decomposed, hash_password(composed))


def test_a_hash_of_weaker_parameters_is_good_and_to_be_renewed() -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    assert verify_password(GOOD, weak)
    assert is_outdated(weak)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "a" * (MIN_CHARACTERS - 1),
        "ab" * MIN_CHARACTERS,
        "x" * (MAX_CHARACTERS + 1),
        "i am ALICE and this is long",
    ],
)
def test_a_weak_password_is_not_taken(password: str) -> None:
    assert password_problem(password, name="alice") is not None


@pytest.mark.parametrize("password", [GOOD, "abcdefghijkl", "\N{SNOWMAN}abcdefghijk"])
def test_a_long_password_is_taken_whatever_is_in_it(password: str) -> None:
    assert password_problem(password, name="alice") is None
    assert password_problem(password, name="a") is None


def test_only_so_many_logins_wait_for_their_turn() -> None:
    work = PasswordWork()
    with contextlib.ExitStack() as stack:
        for number in range(MAX_TURNS):
            stack.enter_context(work.turn(f"10.0.0.{number}"))
        with pytest.raises(TooBusyError), work.turn("10.0.1.1"):
            pytest.fail("there is no turn left")
    with work.turn("10.0.1.1"):
        pass


def test_one_source_takes_only_some_of_the_turns() -> None:
    work = PasswordWork()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_TURNS_OF_SOURCE):
            stack.enter_context(work.turn("10.0.0.1"))
        with pytest.raises(TooBusyError), work.turn("10.0.0.1"):
            pytest.fail("it has had its turns")
        stack.enter_context(work.turn("10.0.0.2"))


@pytest.mark.anyio
async def test_one_hash_is_made_at_a_time(hashed: str) -> None:
    work = PasswordWork()
    results = await asyncio.gather(*(work.verify(GOOD, hashed) for _ in range(4)))
    assert results == [True] * 4
    assert work._threads._max_workers == 1
