"""What pages do is in the log before it takes effect, or it does not take effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.app.page_records import PageRecords
from bascule.audit.log import AuditLog
from bascule.audit.query import leaves
from bascule.audit.record import Record, decode
from bascule.audit.writer import LogUnavailableError
from bascule.clock import system_entropy
from bascule.gateway.failures import AuthFailures


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def with_events(
    folder: LogFolder,
    do: Callable[[PageRecords, AuditLog], Awaitable[None]],
) -> list[Record]:
    """Run a log, do something with its events, and give what was written."""

    async def run() -> None:
        with folder.inbox() as inbox:
            log = AuditLog(
                folder.with_inbox(inbox),
                folder.keys,
                system_entropy,
                copies=(),
                on_problem=print,
            )
            log.start(asyncio.get_running_loop())
            events = PageRecords(
                log.writer, AuthFailures(1), log=log.origin, writer="gateway", boot=log.boot
            )
            try:
                await do(events, log)
            finally:
                await asyncio.to_thread(log.close)

    asyncio.run(run())
    return [decode(leaf) for _, leaf in leaves(folder.files)]


def test_a_recorded_event_says_who_did_what(folder: LogFolder) -> None:
    async def do(events: PageRecords, _: AuditLog) -> None:
        await events.event(
            "consent.grant",
            admin={"scope": "mcp:desk"},
            peer="203.0.113.7",
            user="user:alice",
            agent="https://client.example/id.json",
            connector="desk",
        )

    (record,) = with_events(folder, do)
    assert record.type == "consent.grant"
    assert record.stage == "event"
    assert record.admin == {"scope": "mcp:desk"}
    assert record.connector == "desk"
    assert record.src.ip == "203.0.113.7"  # type: ignore[union-attr]
    assert record.user.sub == "alice"  # type: ignore[union-attr]
    assert record.agent.client_id == "https://client.example/id.json"  # type: ignore[union-attr]


def test_an_event_is_refused_when_the_log_has_stopped(folder: LogFolder) -> None:
    async def do(events: PageRecords, log: AuditLog) -> None:
        await asyncio.to_thread(log.writer.close)
        with pytest.raises(LogUnavailableError):
            await events.event("consent.grant", admin={}, peer="::1")

    assert with_events(folder, do) == []


def test_a_failed_authentication_is_a_denial_the_first_of_a_minute_in_full(
    folder: LogFolder,
) -> None:
    async def do(events: PageRecords, _: AuditLog) -> None:
        assert not events.failed("client is unknown", peer="203.0.113.7")
        assert events.failed("client is unknown", peer="203.0.113.7")

    (record,) = with_events(folder, do)
    assert record.type == "auth.fail"
    assert record.authz.decision == "deny"  # type: ignore[union-attr]
    assert record.authz.reason == "client is unknown"  # type: ignore[union-attr]
