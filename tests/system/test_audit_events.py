"""Events of a running server are in the log before they take effect, or they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from audit_logs import LogFolder, new_log
from bascule.audit.events import MAX_VALUE_CHARACTERS, Events
from bascule.audit.log import AuditLog
from bascule.audit.query import leaves
from bascule.audit.record import Record, decode
from bascule.audit.writer import LogUnavailableError
from bascule.clock import system_entropy


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def with_events(
    folder: LogFolder,
    do: Callable[[Events, AuditLog], Awaitable[None]],
    *,
    refuses: bool = False,
) -> list[Record]:
    """Run a log, do something with its events, and give what was written."""

    async def run() -> None:
        with folder.inbox() as inbox:
            log = AuditLog(
                folder.data_dir,
                inbox,
                folder.keys,
                system_entropy,
                copies=(),
                on_problem=print,
            )
            log.start(asyncio.get_running_loop())
            events = Events(
                log.writer,
                log=log.origin,
                writer="gateway",
                boot=log.boot,
                refuses=lambda: refuses,
            )
            try:
                await do(events, log)
            finally:
                await asyncio.to_thread(log.close)

    asyncio.run(run())
    return [decode(leaf) for _, leaf in leaves(folder.folder)]


def test_a_recorded_event_says_who_did_what(folder: LogFolder) -> None:
    async def do(events: Events, _: AuditLog) -> None:
        await events.record(
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


def test_text_of_strangers_is_cut(folder: LogFolder) -> None:
    async def do(events: Events, _: AuditLog) -> None:
        await events.record(
            "client.register", admin={"name": "x" * 5000}, peer="::1", agent="y" * 5000
        )

    (record,) = with_events(folder, do)
    assert isinstance(record.admin, dict)
    assert len(record.admin["name"]) < MAX_VALUE_CHARACTERS + 20
    assert len(record.agent.client_id) < MAX_VALUE_CHARACTERS + 20  # type: ignore[union-attr]


def test_an_event_is_refused_when_the_log_has_stopped(folder: LogFolder) -> None:
    async def do(events: Events, log: AuditLog) -> None:
        await asyncio.to_thread(log.writer.close)
        with pytest.raises(LogUnavailableError):
            await events.record("consent.grant", admin={}, peer="::1")
        events.failed("::1", "nobody waits for this one")

    assert with_events(folder, do) == []


def test_an_event_is_refused_when_records_wait_too_long(folder: LogFolder) -> None:
    async def do(events: Events, _: AuditLog) -> None:
        with pytest.raises(LogUnavailableError):
            await events.record("consent.grant", admin={}, peer="::1")

    assert with_events(folder, do, refuses=True) == []


def test_a_failed_authentication_is_a_denial(folder: LogFolder) -> None:
    async def do(events: Events, _: AuditLog) -> None:
        events.failed("203.0.113.7", "client is unknown")

    (record,) = with_events(folder, do)
    assert record.type == "auth.fail"
    assert record.authz.decision == "deny"  # type: ignore[union-attr]
    assert record.authz.reason == "client is unknown"  # type: ignore[union-attr]
