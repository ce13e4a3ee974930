"""What is tidied of logins at providers, from time to time."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import pytest

from bascule.app.logins import tidy_logins
from bascule.storage import ended_logins, provider_sessions, vault
from bascule.storage.store import Transaction, open_store
from bascule.storage.vault import SealedEntry
from oauth_state import new_store

USER = "user:https://idp.example|a"


def test_what_nothing_hangs_on_ends_and_is_forgotten(tmp_path: Path) -> None:
    def fill(conn: Transaction) -> None:
        vault.put(conn, USER, "provider/corp", SealedEntry(1, b"sealed"))
        name = USER.removeprefix("user:")
        provider_sessions.remember(conn, number=7, user=name, provider="corp", sid="s")

    with contextlib.closing(new_store(tmp_path)) as store:
        store.run(fill)
        asyncio.run(tidy_logins(store))
        ended = partial(ended_logins.has_ended, user=USER, provider="corp")
        assert store.read(ended)
        assert store.read(partial(provider_sessions.provider_of, number=7)) is None


def test_a_state_that_is_not_there_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(open_store(tmp_path / "state.db")) as empty:
        asyncio.run(tidy_logins(empty))
    assert "logins that nothing needs" in caplog.text
