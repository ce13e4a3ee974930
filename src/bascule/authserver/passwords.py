"""Passwords: what is taken as one, and argon2id of it.

Each hash takes 64 MiB and some hundred milliseconds of one core, on purpose. So one is made
at a time, in a thread, and only a few wait: a flood of logins costs no more memory than
one, and the rest is told to come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from bascule.errors import BasculeError

T = TypeVar("T")

MIN_CHARACTERS = 12
MAX_CHARACTERS = 1024
MIN_DIFFERENT = 5
MIN_NAME = 4
"""Length from which a name in a password counts as one."""

MAX_TURNS = 16
MAX_TURNS_OF_SOURCE = 2
"""Logins that may wait for their turn, in all and from one source."""

# RFC 9106 §4, second recommended option, with one lane: a login must not take all cores
# from the calls that go on beside it.
_hasher = PasswordHasher(
    time_cost=3, memory_cost=65536, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)

HASH_OF_NOTHING = (
    "$argon2id$v=19$m=65536,t=3,p=1$OD3x3c5ML6oRIu5kk"
    "3Il3w$TbXa2ShAf/mfFVpzLu4eFvfJ/tQ0ww0YQyd/0qRDioc"
)
"""What passwords are compared with where there is none: of random bytes that were thrown
away, with the parameters of today, so that it takes as long."""


class TooBusyError(BasculeError):
    """More passwords wait to be looked at than is good; come back in a second."""


def password_problem(password: str, *, name: str) -> str | None:
    """Say what is wrong with a new password, for people; None when nothing is."""
    if len(password) < MIN_CHARACTERS:
        return f"Use at least {MIN_CHARACTERS} characters; a few words are good."
    if len(password) > MAX_CHARACTERS:
        return f"Use at most {MAX_CHARACTERS} characters."
    if len(set(password)) < MIN_DIFFERENT:
        return f"Use at least {MIN_DIFFERENT} different characters."
    if len(name) >= MIN_NAME and name.casefold() in password.casefold():
        return "Do not use your name in it."
    return None


def _normal(password: str) -> str:
    """Give the one form of text that keyboards write in several (RFC 8265 §4.2.2)."""
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """Hash a password; takes its time."""
    return _hasher.hash(_normal(password))


def verify_password(password: str, hash_: str | None) -> bool:
    """Tell whether a password is the one of a hash; takes the same time without one."""
    try:
        compared = HASH_OF_NOTHING if hash_ is None else hash_
        _hasher.verify(compared, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return hash_ is not None


def is_outdated(hash_: str) -> bool:
    """Tell whether a hash was made with other parameters than those of today."""
    return _hasher.check_needs_rehash(hash_)


class PasswordWork:
    """Does the work of passwords, one at a time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._turns: Counter[str] = Counter()

    @contextlib.contextmanager
    def turn(self, source: str) -> Iterator[None]:
        """Take a place in the queue, for as long as the block runs.

        Raises `TooBusyError`. Whoever goes away leaves the queue, also in the middle of it.
        """
        if self._turns.total() >= MAX_TURNS or self._turns[source] >= MAX_TURNS_OF_SOURCE:
            raise TooBusyError("too many passwords wait to be looked at")
        self._turns[source] += 1
        try:
            yield
        finally:
            self._turns[source] -= 1
            if not self._turns[source]:
                del self._turns[source]

    async def hash(self, password: str) -> str:
        """Hash a password, within a turn."""
        return await self._do(partial(hash_password, password))

    async def verify(self, password: str, hash_: str | None) -> bool:
        """Compare a password with a hash, or with none, within a turn."""
        return await self._do(partial(verify_password, password, hash_))

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
