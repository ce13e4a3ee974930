"""What it takes to have a user's own credential for a call at hand; printed."""

from __future__ import annotations

import asyncio
import contextlib
import timeit
from pathlib import Path

import pytest

from bascule.clock import system_entropy
from bascule.credentials.linked import LinkedAccounts
from bascule.decision.facts import Principal
from bascule.gateway.linked import PerUser
from linked import TARGET, Shelf, linked, tokens
from oauth_state import NOW, new_store

pytestmark = pytest.mark.soak

TIMES = 100_000
ALICE = Principal(user="user:alice", agent="app")


def test_a_credential_is_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.closing(new_store(tmp_path)) as store:
        shelf = Shelf()
        linked(store, shelf, tokens(expires_at=NOW + 3600), now=NOW)
        accounts = LinkedAccounts(store, shelf, lambda: NOW, system_entropy, lambda: 1)
        url = "http://localhost:8420"
        mine = PerUser(TARGET, accounts, store, url, lambda: NOW, system_entropy)
        first = asyncio.run(mine.get(ALICE))
        assert mine.cached(ALICE) == first
        seconds = min(timeit.repeat(lambda: mine.cached(ALICE), number=TIMES, repeat=5))
    with capsys.disabled():
        print(f"\n{seconds / TIMES * 1e6:.1f} us")
