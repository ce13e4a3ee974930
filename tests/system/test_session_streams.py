"""Streams of the revisions before 2026-07-28: progress, asks, answers, resumption."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE, until
from system.legacy_client import EventStream, LegacyClient
from system.legacy_recorder import (
    ASKED_ID,
    FLOOD_OF_ASKS,
    LAST_EVENT,
    TOOLS,
    LegacyServer,
)
from system.lodge import begun, lodging
from system.recorder import FORBIDDEN, Recorder
from system.server import Installation


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[tuple[Installation, Recorder]]:
    with lodging(tmp_path_factory.mktemp("lodge"), recorder) as made:
        yield made


@pytest.fixture
def bascule(house: tuple[Installation, Recorder]) -> Installation:
    return house[0]


@pytest.fixture
def lodge(house: tuple[Installation, Recorder]) -> Recorder:
    """Give the upstream, with nothing from other tests in it."""
    house[1].take()
    return house[1]


def text_of(message: dict[str, Any]) -> str:
    return str(message["result"]["content"][0]["text"])


# Ids and tokens


@pytest.mark.parametrize("message_id", [7, "7", -1, "", 'a "quoted" é', 2**60], ids=repr)
def test_a_client_gets_its_own_id_back(
    message_id: int | str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    answer = client.tool("echo", message_id)
    assert answer.json["id"] == message_id
    assert type(answer.json["id"]) is type(message_id)
    (sent,) = lodge.take()
    assert sent.message["id"] != message_id


def test_ids_of_two_sessions_never_meet(bascule: Installation, lodge: Recorder) -> None:
    clients = [begun(bascule) for _ in range(3)]
    lodge.take()
    for client in clients:
        client.tool("echo", _=1)
    assert len({it.message["id"] for it in lodge.take()}) == 3


@pytest.mark.parametrize("token", [5, "five", 0], ids=repr)
def test_progress_is_the_clients_own_and_nobody_elses(
    token: int | str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    with client.stream("streams", {"progressToken": token}) as stream:
        seen = [stream.expect().json for _ in range(3)]
        assert stream.next() is None
    assert [it.get("method") for it in seen] == [
        "notifications/progress",
        "notifications/message",
        None,
    ]
    assert seen[0]["params"] == {"progressToken": token, "progress": 1}
    assert (seen[2]["id"], text_of(seen[2])) == (7, "done")
    assert lodge.take()[0].params["_meta"]["progressToken"] != token


@pytest.mark.parametrize(
    ("tool", "status"),
    [("foreign_id", 502), ("stream_foreign_id", 502), ("garbage", 502), ("refuses", 502)],
)
def test_what_is_no_answer_to_the_request_does_not_pass(
    tool: str, status: int, bascule: Installation
) -> None:
    answer = begun(bascule).tool(tool)
    assert (answer.status, answer.json["id"]) == (status, 7)
    assert b"somebody" not in answer.body


def test_an_event_without_an_end_ends_the_call(bascule: Installation) -> None:
    answer = begun(bascule).tool("huge_event")
    assert (answer.status, answer.error["code"]) == (502, 502)


# Cancelling


def test_a_cancelled_request_is_named_to_the_server_by_its_own_id(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    with client.stream("opens", message_id="mine") as stream:
        stream.expect()
        sent = client.notify("notifications/cancelled", requestId="mine", reason="enough")
        assert sent.status == 202
        called, cancelled = lodge.take()
    assert cancelled.params == {"requestId": called.message["id"], "reason": "enough"}


@pytest.mark.parametrize("request_id", [None, True, 1.5, {}], ids=repr)
def test_a_cancellation_of_nothing_is_refused(
    request_id: object, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    assert client.notify("notifications/cancelled", requestId=request_id).status == 400
    assert lodge.take() == []


def test_who_goes_away_has_not_cancelled(bascule: Installation, lodge: Recorder) -> None:
    client = begun(bascule)
    lodge.take()
    stream = client.stream("opens")
    stream.expect()
    stream.close()
    lodge.wait_closed()
    assert len(lodge.take()) == 1


def test_what_a_client_may_not_say_goes_nowhere(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    assert client.notify("notifications/anything").status == 202
    assert lodge.take() == []
    assert client.notify("notifications/roots/list_changed").status == 202
    assert len(lodge.take()) == 1


# Asks


def asked(client: LegacyClient) -> tuple[EventStream, dict[str, Any]]:
    """Call a tool that asks; give the stream and the ask."""
    stream = client.stream("asks")
    return stream, stream.expect().json


def test_an_ask_reaches_its_client_and_the_answer_its_server(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    stream, ask = asked(client)
    assert (ask["method"], ask["params"]["message"]) == ("elicitation/create", "sure?")
    assert ask["id"] != ASKED_ID
    lodge.take()
    token = ask["params"]["_meta"]["progressToken"]
    progress = {"progressToken": token, "progress": 1}
    assert client.notify("notifications/progress", **progress).status == 202
    assert client.reply(ask["id"], {"action": "accept"}).status == 202
    told, answered = lodge.take()
    assert told.params == {"progressToken": "progress of the ask", "progress": 1}
    assert answered.message == {
        "jsonrpc": "2.0",
        "id": ASKED_ID,
        "result": {"action": "accept"},
    }
    assert json.loads(text_of(stream.expect().json))["result"] == {"action": "accept"}
    assert stream.next() is None
    stream.close()
    bascule.wait_for_records("--type", "answer", "--user", "alice")


def test_a_client_may_answer_with_an_error(bascule: Installation) -> None:
    client = begun(bascule)
    stream, ask = asked(client)
    error = {"code": -1, "message": "no", "data": {"why": [1]}}
    reply = {"jsonrpc": "2.0", "id": ask["id"], "error": error}
    assert client.post(reply).status == 202
    assert json.loads(text_of(stream.expect().json))["error"] == error
    stream.close()


def test_an_answer_passes_in_the_session_that_was_asked_alone(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    stream, ask = asked(client)
    others = [begun(bascule), begun(bascule, "bob"), begun(bascule, connector="barn")]
    lodge.take()
    for other in others:
        answer = other.reply(ask["id"], {"action": "accept"})
        assert (answer.status, answer.error["code"]) == (400, -32600)
    assert lodge.take() == []
    assert client.reply(ask["id"], {"action": "decline"}).status == 202
    assert "decline" in text_of(stream.expect().json)
    stream.close()


@pytest.mark.parametrize(
    "forged",
    [
        0,
        1,
        ASKED_ID,
        "",
        f'elicitation/create."{ASKED_ID}"',
        f'elicitation/create."{ASKED_ID}".AAAAAAAAAAAAAAAAAAAAAA',
        "\ud800",
    ],
    ids=ascii,
)
def test_an_answer_to_what_nobody_asked_goes_nowhere(
    forged: int | str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    assert client.reply(forged, {"action": "accept"}).status == 400
    assert lodge.take() == []


def test_a_progress_token_is_no_ask(bascule: Installation, lodge: Recorder) -> None:
    """Stamped for one use, a token answers nothing and an id makes no progress."""
    client = begun(bascule)
    stream, ask = asked(client)
    lodge.take()
    assert client.reply(ask["params"]["_meta"]["progressToken"], {}).status == 400
    wrong = client.notify("notifications/progress", progressToken=ask["id"], progress=1)
    assert wrong.status == 400
    assert lodge.take() == []
    stream.close()


@pytest.mark.parametrize("tool", ["asks_model", "asks_anything"])
def test_what_the_server_may_not_ask_is_refused_for_the_client(
    tool: str, bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    lodge.take()
    with client.stream(tool) as stream:
        result = stream.expect().json
    assert json.loads(text_of(result))["error"]["code"] == -32601
    _, refused = lodge.take()
    assert refused.headers["user-agent"].startswith("bascule-probe/")


def test_a_client_that_takes_no_asks_gets_none(bascule: Installation) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"))
    client.initialize(capabilities={})
    with client.stream("asks") as stream:
        assert '"code": -32601' in text_of(stream.expect().json)


def test_an_ask_that_is_withdrawn_is_withdrawn_under_the_clients_id(
    bascule: Installation,
) -> None:
    with begun(bascule).stream("asks_and_withdraws") as stream:
        ask, withdrawn, result = (stream.expect().json for _ in range(3))
    assert withdrawn["method"] == "notifications/cancelled"
    assert withdrawn["params"] == {"requestId": ask["id"], "reason": "too late"}
    assert text_of(result) == "never mind"


def test_a_flood_of_asks_is_answered_for_the_client(bascule: Installation) -> None:
    with begun(bascule).stream("floods_asks") as stream:
        for _ in range(64):
            assert stream.expect().json["method"] == "elicitation/create"
        result = stream.expect().json
    assert text_of(result) == f"{FLOOD_OF_ASKS - 64} {{429}}"


def test_a_server_may_wait_for_its_client_longer_than_it_may_be_silent(
    bascule: Installation,
) -> None:
    """`upstream_seconds` passes for a call that hangs, and not for one that has asked."""
    client = begun(bascule)
    stream, ask = asked(client)
    assert client.tool("hangs").status == 504
    assert client.tool("hangs").status == 504
    client.reply(ask["id"], {"action": "accept"})
    assert "accept" in text_of(stream.expect().json)
    stream.close()


# Resumption and listening


def test_a_stream_that_the_server_suspends_is_resumed(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    with client.stream("suspends") as stream:
        place = stream.expect()
        assert stream.next() is None
    assert (place.data, place.retry) == ("", "10")
    assert place.id is not None
    assert LAST_EVENT not in place.id
    assert bascule.stop() == 0
    bascule.start()
    lodge.take()
    with client.listen(place.id) as resumed:
        result = resumed.expect().json
    assert (result["id"], text_of(result)) == (7, "late")
    (sent,) = lodge.take()
    assert sent.headers["last-event-id"].startswith(LAST_EVENT)


def test_a_list_that_comes_late_is_filtered_too(bascule: Installation) -> None:
    client = begun(bascule)
    params = {"_meta": {"late": True}}
    message = {"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": params}
    with client.open("POST", message) as stream:
        place = stream.expect().id
    with client.listen(place) as resumed:
        result = resumed.expect().json
    assert result["id"] == 9
    names = [tool["name"] for tool in result["result"]["tools"]]
    assert names == list(TOOLS)
    assert FORBIDDEN not in names


def test_a_place_in_a_stream_is_worth_nothing_elsewhere(
    bascule: Installation, lodge: Recorder
) -> None:
    client = begun(bascule)
    with client.stream("suspends") as stream:
        place = stream.expect().id
    assert place is not None
    others = [begun(bascule), begun(bascule, "bob"), begun(bascule, connector="barn")]
    lodge.take()
    for other in others:
        with other.listen(place) as refused:
            assert refused.status == 400
    for forged in (f"{LAST_EVENT} raw/1", place[:-4], client.session or ""):
        with client.listen(forged) as refused:
            assert refused.status == 400
    assert lodge.take() == []
    with client.listen(place) as resumed:
        assert text_of(resumed.expect().json) == "late"


def test_what_a_server_says_unasked_reaches_its_session(
    bascule: Installation, lodge: Recorder
) -> None:
    """What may not be read does not change either, and there are no stray answers."""
    client = begun(bascule)
    with client.listen() as stream:
        assert stream.status == 200
        changed, updated, ping = (stream.expect().json for _ in range(3))
        assert changed["method"] == "notifications/tools/list_changed"
        assert updated["params"] == {"uri": "note:one"}
        assert ping["method"] == "ping"
        lodge.take()
        assert client.reply(ping["id"], {}).status == 202
        assert lodge.take()[0].message == {"jsonrpc": "2.0", "id": 0, "result": {}}
    lodge.wait_closed()
    until(lambda: bool(bascule.records("--type", "call.end", "--limit", "1")))


def methods_of(stream: EventStream) -> list[str]:
    """Give the methods of what comes until the list of prompts has changed."""
    found: list[str] = []
    while "notifications/prompts/list_changed" not in found:
        found.append(stream.expect().json["method"])
    return found


def test_an_open_stream_follows_a_reload(tmp_path: Path, recorder: Recorder) -> None:
    """What a server may say is decided as of now, not as of when the stream was opened."""
    with lodging(tmp_path / "made", recorder) as (own, _):
        client = begun(own)
        stream = client.listen()
        for _ in range(3):
            stream.expect()
        assert client.tool("pokes").status == 200
        assert methods_of(stream) == [
            "notifications/resources/updated",
            "elicitation/create",
            "notifications/prompts/list_changed",
        ]
        text = own.config.read_text().replace('"lodge/resource:note:*"', '"lodge/echo"')
        own.config.write_text(text.replace('may_ask = ["elicitation"]', "may_ask = []"))
        own.signal(signal.SIGHUP)
        own.wait_for_records("--type", "policy.reload")

        def poked() -> list[str]:
            assert client.tool("pokes").status == 200
            return methods_of(stream)

        until(lambda: poked() == ["notifications/prompts/list_changed"])
        stream.close()


def test_listening_needs_an_accept_header(bascule: Installation) -> None:
    client = begun(bascule)
    client.extra = {"Accept": "application/json"}
    assert client.verb("GET").status == 406


def test_open_streams_count_as_unfinished_requests(bascule: Installation) -> None:
    client = begun(bascule, "bob")
    streams = [client.listen() for _ in range(64)]
    assert {stream.status for stream in streams} == {200}
    assert client.tool("echo").status == 429
    assert begun(bascule, "alice").tool("echo").status == 200
    for stream in streams:
        stream.close()
    until(lambda: client.tool("echo").status == 200)


def test_a_client_that_does_not_read_holds_its_server_back(
    tmp_path: Path, recorder: Recorder
) -> None:
    """What is on its way is bounded: buffers of the gateway and of the kernel."""
    server = LegacyServer()
    with lodging(tmp_path / "made", recorder, server) as (own, _):
        stream = begun(own).stream("pours")
        assert server.blocked.wait(PATIENCE)
        assert server.poured < 32 << 20
        stream.close()


def test_any_process_serves_any_session(bascule: Installation) -> None:
    """Each request has a connection of its own, so that the kernel spreads them."""
    assert bascule.stop() == 0
    bascule.start("--workers", "2")
    clients = [begun(bascule, user) for user in ("alice", "bob") * 4]
    for turn in range(3):
        asking = [asked(client) for client in clients]
        for client, (_, ask) in zip(clients, asking, strict=True):
            answer = {"action": "accept", "content": {"turn": turn}}
            assert client.reply(ask["id"], answer).status == 202
        for stream, _ in asking:
            assert f'"turn": {turn}' in text_of(stream.expect().json)
            stream.close()
    for client in clients:
        assert client.verb("DELETE").status == 204
    assert [client.tool("echo").status for client in clients * 3] == [404] * 24
    assert bascule.stop() == 0
    bascule.start()
