"""What nobody decided in time is ended by the server itself, and recorded once."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bascule.app.call_approval_clock import CallApprovalClock
from bascule.audit.writer import LogUnavailableError
from bascule.clock import UnixTime
from bascule.storage import call_approvals
from bascule.storage.call_approvals import LIFETIME_SECONDS
from bascule.storage.store import Store, open_store
from calls_asked import CALL

NOW = UnixTime(1_800_000_000)
LATE = UnixTime(NOW + LIFETIME_SECONDS)


class Log:
    """What is recorded; fails when it is told to."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.events: list[tuple[str, str, str]] = []
        self._problem = problem

    async def event(self, type: str, *, user: str, admin: Any, **_: object) -> None:
        if self._problem is not None:
            raise self._problem
        self.events.append((type, user, admin["approval"]))

    def failed(self, *_: object, **__: object) -> bool:
        return False


@pytest.fixture
def store(migrated_file: Path, tmp_path: Path) -> Iterator[Store]:
    """Give a state with one call that waits."""
    path = shutil.copy(migrated_file, tmp_path / "state.db")
    with contextlib.closing(open_store(path)) as opened:
        ask = partial(
            call_approvals.ask,
            request=CALL,
            approval_id="1",
            sealed_arguments=b"sealed",
            now=NOW,
        )
        opened.run(ask)
        yield opened


def test_an_end_is_recorded_once(store: Store) -> None:
    log = Log()
    asyncio.run(CallApprovalClock(store, log, lambda: NOW).look())
    assert log.events == []
    for _ in range(2):
        asyncio.run(CallApprovalClock(store, log, lambda: LATE).look())
    assert log.events == [("call_approval.expire", "user:alice", "1")]


def test_a_log_that_is_full_ends_no_server(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    full = Log(LogUnavailableError("full"))
    asyncio.run(CallApprovalClock(store, full, lambda: LATE).look())
    found = store.read(partial(call_approvals.find, approval_id="1", now=LATE))
    assert found is not None
    assert found.sealed_arguments is None
    assert "full" in caplog.text
