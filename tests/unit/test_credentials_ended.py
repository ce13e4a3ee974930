"""Tokens that ended here: what happens when the other side does not take them back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bascule.clock import UnixTime
from bascule.credentials.ended import EndedTokens
from bascule.errors import BasculeError
from bascule.storage.retries import RETRY_SECONDS
from bascule.storage.store import StateUnavailableError, Store, Transaction
from oauth_state import new_store

NOW = UnixTime(1_800_000_000)


@dataclass
class One:
    tries: int


@dataclass
class Kind:
    """Rows as there are, and what their other side answers."""

    rows: list[One]
    problem: Exception | None = None
    revoked: list[One] = field(default_factory=list)

    def is_due(self, _: Transaction, *, now: UnixTime) -> bool:
        assert now == NOW
        return bool(self.rows)

    def take(self, _: Transaction, *, now: UnixTime) -> list[One]:
        assert now == NOW
        return list(self.rows)

    async def revoke(self, ended: One) -> None:
        if self.problem is not None:
            raise self.problem
        self.revoked.append(ended)

    def forget(self, _: Transaction, ended: One) -> None:
        self.rows.remove(ended)

    def named(self, ended: One) -> str:
        return f"number {ended.tries}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(new_store(tmp_path)) as opened:
        yield opened


def look(store: Store, kind: Kind) -> None:
    asyncio.run(EndedTokens(store, kind, lambda: NOW).look())


def test_what_was_revoked_is_forgotten(store: Store) -> None:
    kind = Kind([One(0), One(3)])
    look(store, kind)
    assert kind.rows == []
    assert len(kind.revoked) == 2


def test_what_was_not_taken_back_stays_until_the_last_try(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    last = len(RETRY_SECONDS) - 1
    kind = Kind([One(0), One(last - 1), One(last)], BasculeError("it does not answer"))
    look(store, kind)
    assert kind.rows == [One(0), One(last - 1)]
    assert "number 0: tokens that ended were not revoked" in caplog.text


def test_a_state_that_is_not_there_ends_no_try(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    kind = Kind([One(len(RETRY_SECONDS) - 1)], StateUnavailableError("it is away"))
    look(store, kind)
    assert len(kind.rows) == 1
    assert "it is away" in caplog.text
