"""JSON-RPC with a real process: correlation, eras, and servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bascule.config.model import Limits
from bascule.launch.calls import CallError, CallTimeoutError, ServerGoneError
from bascule.launch.command import Command
from bascule.launch.opening import EraRefusedError
from bascule.launch.peer import MAX_ASKS, MAX_CALLS, BusyError
from bascule.launch.wanted import Wanted
from system.stdio_host import (
    SHARED,
    Host,
    content,
    eventually,
    hosting,
    is_running,
    last,
    replies,
    saw,
    saw_methods,
)

LEGACY = Wanted(user="", revision="2025-11-25")


def test_callers_with_the_same_ids_and_tokens_never_meet(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        meta = {"progressToken": "mine"}
        calls = [
            await host.call("progress", {"steps": n}, meta=meta, client_id="same")
            for n in (1, 2, 3)
        ]
        for n, call in zip((1, 2, 3), calls, strict=True):
            *progress, response = [json.loads(it.data) for it in await replies(call)]
            assert [it["params"]["progress"] for it in progress] == list(range(n))
            assert {it["params"]["progressToken"] for it in progress} == {"mine"}
            assert (response["id"], content(response)) == ("same", n)

    hosting(tmp_path, work)
    sent = [
        it["message"] for it in saw(tmp_path) if it["message"]["method"] == "tools/call"
    ]
    assert len({it["id"] for it in sent}) == 3
    assert all(it["params"]["_meta"]["progressToken"] == it["id"] for it in sent)


def test_progress_that_was_not_asked_for_is_nobodys(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        (response,) = await replies(await host.call("progress", {"steps": 2}))
        assert response.last

    hosting(tmp_path, work)


def test_an_answer_to_another_request_reaches_nobody(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        hanging = asyncio.ensure_future((await host.call("hangs")).next())
        assert await host.value("foreign_id") == "mine"
        assert not hanging.done()
        hanging.cancel()

    hosting(tmp_path, work)


def test_a_cancelled_call_is_cancelled_at_the_server_by_its_own_id(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        call = await host.call("hangs", client_id="client's")
        call.cancel("gone")
        await host.value("echo")
        (cancelled,) = [
            it["message"]["params"]
            for it in saw(tmp_path)
            if it["message"].get("method") == "notifications/cancelled"
        ]
        assert cancelled == {"requestId": call.id, "reason": "gone"}

    hosting(tmp_path, work)


def test_a_subscription_hears_its_own_and_ends_when_the_server_says_so(
    tmp_path: Path,
) -> None:
    async def work(host: Host) -> None:
        peer = await host.server.peer(SHARED)
        listening = [
            peer.call("l", "subscriptions/listen", {"notifications": {"n": n}})
            for n in (1, 2)
        ]
        for n, call in enumerate(listening, 1):
            told = json.loads((await call.next()).data)
            assert told["params"]["notifications"] == {"n": n}
            assert list(told["params"]["_meta"].values()) == ["l"]
        await host.value("changes")
        for call in listening:
            changed = json.loads((await call.next()).data)
            assert changed["method"] == "notifications/tools/list_changed"
            assert list(changed["params"]["_meta"].values()) == ["l"]
        await host.value("ends_listening")
        with pytest.raises(ServerGoneError):
            await listening[0].next()

    hosting(tmp_path, work)


def test_a_server_gets_an_error_when_it_asks_and_nobody_can_be_asked(
    tmp_path: Path,
) -> None:
    async def work(host: Host) -> None:
        answer = await host.value("asks")
        assert (answer["id"], answer["error"]["code"]) == ("ask-1", -32601)
        assert host.ear.asked_for == ["sampling/createMessage"]
        assert await host.value("asks", method="ping") == {"id": "ask-1", "result": {}}

    hosting(tmp_path, work)


def test_what_a_server_asks_is_bounded(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        host.ear.patient = True
        refused = await host.value("asks_much", asked=MAX_ASKS + 10, refused=10)
        assert refused == 10
        assert len(host.ear.asked_for) == MAX_ASKS

    hosting(tmp_path, work)


@pytest.mark.parametrize("how", ["dies", "closes", "garbage", "floods", "spams"])
def test_calls_in_flight_end_with_an_error_and_the_next_works(
    how: str, tmp_path: Path
) -> None:
    async def work(host: Host) -> None:
        other = await host.call("hangs")
        with pytest.raises(ServerGoneError):
            await last(await host.call(how))
        with pytest.raises(ServerGoneError):
            await other.next()
        first = saw(tmp_path)[0]["pid"]
        second = await host.value("echo")
        assert second["pid"] != first
        await eventually(lambda: not is_running(first))

    hosting(tmp_path, work)


def test_what_is_no_error_object_fails_its_own_call_only(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        first = await host.value("echo")
        with pytest.raises(CallError):
            await last(await host.call("half"))
        assert (await host.value("echo"))["pid"] == first["pid"]

    hosting(tmp_path, work)


def test_a_greeting_on_standard_output_does_no_harm(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        assert await host.value("greets") == "done"

    hosting(tmp_path, work)


def test_last_words_are_heard(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        assert await host.value("answers_and_ends") == "last words"

    hosting(tmp_path, work)


def test_a_bare_carriage_return_does_not_reach_the_caller(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        (reply,) = await replies(await host.call("carriage"))
        assert b"\r" not in reply.data
        assert content(json.loads(reply.data)) == "fine"

    hosting(tmp_path, work)


def test_a_slow_caller_does_not_hold_up_the_others_for_long(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        arguments = {"steps": 100, "pad": 20_000}
        slow = await host.call("progress", arguments, meta={"progressToken": 1})
        other = await host.call("echo")
        (peer,) = host.server.peers
        await eventually(lambda: peer.held_up)
        waiting = asyncio.ensure_future(last(other))
        await asyncio.sleep(0)
        assert not waiting.done()
        peer.expire(slow.started + 3600, longest=7200)
        assert content(await waiting)
        with pytest.raises(CallTimeoutError):
            await last(slow)

    hosting(tmp_path, work)


def test_a_call_that_lasts_too_long_is_cancelled(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        call = await host.call("hangs")
        host.server.peers[0].expire(call.started + 901, longest=900)
        with pytest.raises(CallTimeoutError):
            await call.next()
        await host.value("echo")
        assert "notifications/cancelled" in saw_methods(tmp_path)

    hosting(tmp_path, work)


def test_unfinished_calls_are_bounded(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        for _ in range(MAX_CALLS):
            await host.call("hangs")
        with pytest.raises(BusyError):
            await host.call("echo")

    hosting(tmp_path, work)


def test_a_server_that_does_not_read_is_not_written_to_without_bound(
    tmp_path: Path,
) -> None:
    """It sleeps after its first answer; what is written then fills pipe and buffer."""
    script = (
        "import sys,time\nsys.stdin.readline()\n"
        'print(\'{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}\','
        "flush=True)\ntime.sleep(1000)"
    )

    async def work(host: Host) -> None:
        peer = await host.server.peer(SHARED)
        await peer.room()
        peer.call(1, "tools/call", {"name": "x" * 1_000_000})
        waiting = asyncio.ensure_future(peer.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        peer.process.cut()
        await asyncio.wait_for(waiting, 10)
        with pytest.raises(ServerGoneError):
            peer.call(1, "tools/call", {})

    command = Command("child", (sys.executable, "-c", script))
    hosting(tmp_path, work, command=command)


# Eras


def test_a_server_of_both_eras_is_opened_in_each_by_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    async def work(host: Host) -> None:
        modern, legacy = [
            content(await last(await host.call("echo", wanted=it)))["pid"]
            for it in (SHARED, LEGACY)
        ]
        assert modern != legacy

    hosting(tmp_path, work, "--era", "both")
    methods = saw_methods(tmp_path)
    assert methods[:2] == ["server/discover", "tools/call"]
    assert methods[2:4] == ["initialize", "notifications/initialized"]


def test_a_legacy_server_is_initialised_once_without_capabilities(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        for _ in range(3):
            assert await last(await host.call("echo", wanted=LEGACY))
        first = saw(tmp_path)[0]["message"]["params"]
        assert first["capabilities"] == {}
        assert first["protocolVersion"] == "2025-11-25"
        assert first["clientInfo"]["name"] == "bascule"

    hosting(tmp_path, work, "--era", "legacy")
    assert saw_methods(tmp_path).count("initialize") == 1


def test_a_legacy_server_refuses_the_modern_era_and_is_asked_once(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        for _ in range(3):
            with pytest.raises(EraRefusedError) as refused:
                await host.server.peer(SHARED)
            assert refused.value.error.code not in {-32020, -32021, -32022}

    hosting(tmp_path, work, "--era", "legacy")
    assert saw_methods(tmp_path) == ["server/discover"]


def test_a_modern_server_refuses_to_be_initialised_in_its_own_words(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        with pytest.raises(EraRefusedError) as refused:
            await host.server.peer(LEGACY)
        assert refused.value.error.code == -32022
        assert refused.value.error.data["supported"] == ["2026-07-28"]
        assert await host.value("echo")

    hosting(tmp_path, work, "--era", "modern")


def test_silence_to_the_probe_leaves_the_older_era_to_be_tried(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        probe = asyncio.ensure_future(host.server.peer(SHARED))
        assert content(await last(await host.call("echo", wanted=LEGACY)))
        assert not probe.done()
        probe.cancel()

    hosting(tmp_path, work, "--era", "silent")


def test_responses_are_bounded_by_the_limits(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        with pytest.raises(ServerGoneError):
            await last(await host.call("echo", {"text": "x" * 5000}))

    hosting(tmp_path, work, limits=Limits(response_bytes=4096))
