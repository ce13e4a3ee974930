"""Flows and rates hold for all workers and replicas, and through kills."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from patience import until
from postgres import PostgresServer
from system.legacy_client import LegacyClient
from system.legacy_recorder import LegacyServer
from system.recorder import Recorder, recording
from system.replicas import on_postgres, replica
from system.server import Answer, Installation, install

TABLES = """
[labels]
untrusted-content = ["desk/streams", "desk/hangs", "desk/resource:note:*"]
egress = ["desk/echo", "desk/resource:note:out*"]
[flows.lethal]
after = ["untrusted-content"]
close = ["egress"]
[rates.few]
of = ["desk/fails", "desk/resource:note:few*"]
calls = 5
per = "day"
"""
LODGE = """
[connectors.lodge]
mode = "observe"
url = "http://127.0.0.1:{port}/mcp"
[roles.guest]
members = ["user:bob"]
allow = ["lodge/*"]
[connectors.clock]
mode = "observe"
command = ["{python}", "-m", "mcp_server_time"]
[roles.watch]
members = ["user:alice"]
allow = ["clock/*"]
"""
AGENTS = 32
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    """Give a server of two workers, in front of servers of both eras."""
    folder = tmp_path_factory.mktemp("bascule")
    with recording(LegacyServer()) as lodge:
        more = TABLES.replace(
            '"desk/echo"', '"desk/echo", "lodge/echo", "clock/convert_time"'
        ).replace('"desk/streams"', '"desk/streams", "lodge/fails", "clock/get_*"')
        more += LODGE.format(port=lodge.port, python=sys.executable)
        made = install(folder, recorder, more=more)
        add_agents(made, AGENTS)
        made.start("--workers", "2")
        try:
            yield made
        finally:
            made.kill()


def add_agents(bascule: Installation, count: int) -> None:
    for number in range(count):
        bascule.ask("agent", "add", f"agent-{number}")


def new_token(bascule: Installation, user: str = "alice", *more: str) -> str:
    """Issue a token to a user through an agent that has touched nothing yet."""
    agent = f"agent-{next(_numbers)}"
    return bascule.token(user, "desk", "--agent", agent, *more)


def statuses(bascule: Installation, token: str, tool: str, times: int = 12) -> set[int]:
    """Call a tool over connections of its own, so that all workers are asked."""
    return {bascule.tool(token, tool).status for _ in range(times)}


def assert_closed(bascule: Installation, answer: Answer) -> None:
    assert answer.error["code"] == -32602
    assert "closed for a while" in answer.error["message"]
    looked_up = looked_up_by(bascule, answer)
    assert looked_up["reason"] == "flow_closed"
    assert all(it.startswith("flow:lethal/") for it in looked_up["policies"])


def looked_up_by(bascule: Installation, answer: Answer) -> dict[str, Any]:
    """Give what the log says of a refusal, once it is there."""
    arguments = ("decide", "--code", answer.error["data"]["code"], "--json")
    until(lambda: bascule.cli(*arguments).exit_code == 1)
    found: dict[str, Any] = json.loads(bascule.cli(*arguments).stdout)
    return found


def test_what_one_worker_sees_touched_is_closed_at_all(bascule: Installation) -> None:
    token, others = new_token(bascule), [new_token(bascule), new_token(bascule, "bob")]
    assert statuses(bascule, token, "echo") == {200}
    with bascule.stream(token, "tools/call", {"name": "streams", "arguments": {}}) as it:
        while "result" not in it.expect():
            pass
    for _ in range(6):
        answer = bascule.tool(token, "echo")
        assert answer.status == 400
    assert_closed(bascule, answer)
    assert statuses(bascule, token, "streams", 2) == {200}
    for other in others:
        assert statuses(bascule, other, "echo", 6) == {200}
    (refused, *_) = bascule.wait_for_records("--decision", "deny", "--name", "echo")
    whole = bascule.ask("audit", "show", str(refused["seq"]))
    assert whole["authz"]["touched"] == ["untrusted-content"]


def test_a_touch_is_there_before_its_call_is_upstream(
    bascule: Installation, upstream: Recorder
) -> None:
    token = new_token(bascule)
    held = bascule.abandoned(token, "hangs")
    upstream.wait()
    assert statuses(bascule, token, "echo", 4) == {400}
    held.close()


def test_reading_touches_as_calling_does(bascule: Installation) -> None:
    token = new_token(bascule)
    assert bascule.call(token, "resources/read", {"uri": "note:1"}).status == 200
    assert_closed(bascule, bascule.tool(token, "echo"))


def listened_to(
    bascule: Installation, token: str, upstream: Recorder, *uris: str
) -> list[str]:
    """Listen, and give the resources that the server was told of."""
    upstream.take()
    wanted = {"resourceSubscriptions": list(uris)}
    with bascule.stream(token, "subscriptions/listen", {"notifications": wanted}) as it:
        it.expect()
    (received,) = upstream.take()
    heard: list[str] = received.params["notifications"]["resourceSubscriptions"]
    return heard


def test_listening_is_closed_as_reading_is(
    bascule: Installation, upstream: Recorder
) -> None:
    """A URI says something to its server too."""
    token, uris = new_token(bascule), ("note:out?secret", "note:1")
    assert listened_to(bascule, token, upstream, "note:out?secret") == ["note:out?secret"]
    assert bascule.call(token, "resources/read", {"uri": "note:1"}).status == 200
    assert listened_to(bascule, token, upstream, *uris) == ["note:1"]


def test_listening_touches_as_reading_does(
    bascule: Installation, upstream: Recorder
) -> None:
    token = new_token(bascule)
    assert listened_to(bascule, token, upstream, "note:1") == ["note:1"]
    assert_closed(bascule, bascule.tool(token, "echo"))
    # Also what the same request names after it.
    assert listened_to(bascule, new_token(bascule), upstream, "note:1", "note:out") == [
        "note:1"
    ]


def test_listening_counts_as_reading_does(
    bascule: Installation, upstream: Recorder
) -> None:
    token, uris = new_token(bascule), [f"note:few{n}" for n in range(9)]
    assert listened_to(bascule, token, upstream, *uris[:2]) == uris[:2]
    assert listened_to(bascule, token, upstream, *uris) == uris[:3]
    assert statuses(bascule, token, "fails", 1) == {429}


def test_what_is_refused_touches_nothing(bascule: Installation) -> None:
    token = new_token(bascule, "alice", "--scope", "desk.echo")
    assert statuses(bascule, token, "streams", 2) == {403}
    assert bascule.call(token, "tools/list").status == 200
    assert statuses(bascule, token, "echo") == {200}


def test_what_is_closed_for_a_while_is_listed(bascule: Installation) -> None:
    token = new_token(bascule)
    assert statuses(bascule, token, "streams", 1) == {200}
    listed = bascule.call(token, "tools/list").json["result"]["tools"]
    assert "echo" in {it["name"] for it in listed}


def test_older_revisions_are_closed_alike(bascule: Installation) -> None:
    client = LegacyClient(bascule, bascule.token("bob", "lodge"), "lodge")
    assert client.initialize().status == 200
    assert "result" in client.tool("echo").json
    assert client.tool("fails").status == 200
    answer = client.tool("echo")
    assert answer.status == 200
    assert_closed(bascule, answer)
    # The same user and agent at another connector, in the other era.
    assert_closed(bascule, bascule.tool(bascule.token("bob", "desk"), "echo"))


def test_a_real_server_is_closed_after_another_use(bascule: Installation) -> None:
    token, noon = bascule.token("alice", "clock"), {"time": "12:00"}
    zones = {"source_timezone": "UTC", "target_timezone": "Asia/Tokyo"}
    converts = {"name": "convert_time", "arguments": {**zones, **noon}}

    def call(params: dict[str, Any]) -> Answer:
        return bascule.call(token, "tools/call", params, connector="clock")

    until(lambda: "result" in call(converts).json)  # its process takes a while to start
    reads = {"name": "get_current_time", "arguments": {"timezone": "UTC"}}
    assert "result" in call(reads).json
    assert_closed(bascule, call(converts))
    assert "result" in call(reads).json


def test_workers_together_let_through_what_a_rate_allows(bascule: Installation) -> None:
    token = new_token(bascule)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: bascule.tool(token, "fails"), range(24)))
    assert [it.status for it in answers].count(200) == 5
    refused = next(it for it in answers if it.status != 200)
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.error["message"].startswith("no calls are left until ")
    looked_up = looked_up_by(bascule, refused)
    assert looked_up["reason"] == "limit_reached"
    assert looked_up["policies"] == ["rate:few"]
    assert statuses(bascule, new_token(bascule), "fails", 1) == {200}


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    made = install(tmp_path, recorder, more=TABLES)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def test_touches_and_counts_outlive_a_kill(own: Installation, recorder: Recorder) -> None:
    touched, counted = own.token("alice"), own.token("bob")
    assert statuses(own, counted, "fails", 5) == {200}
    recorder.take()
    held = own.abandoned(touched, "hangs")
    recorder.wait()
    own.kill()
    held.close()
    own.start()
    assert statuses(own, touched, "echo", 2) == {400}
    assert statuses(own, counted, "fails", 2) == {429}


def test_without_the_state_nothing_that_it_bears_on_goes_upstream(
    own: Installation, recorder: Recorder
) -> None:
    token = own.token("alice")
    with contextlib.closing(sqlite3.connect(own.data / "state.db")) as state:
        state.executescript("DROP TABLE touches; DROP TABLE drawn_calls")
    recorder.take()
    assert statuses(own, token, "streams", 1) == {503}
    assert statuses(own, token, "echo", 1) == {503}
    assert statuses(own, token, "fails", 1) == {503}
    assert recorder.take() == []
    assert statuses(own, token, "leaks", 1) == {200}
    (end, *_) = own.wait_for_records("--type", "call.end")
    whole = own.ask("audit", "show", str(end["seq"]))
    assert whole["result"]["outcome"] == "state_unavailable"


def test_a_reload_puts_flows_and_rates_into_force(own: Installation) -> None:
    token = own.token("alice")
    assert statuses(own, token, "streams", 1) == {200}
    assert statuses(own, token, "echo", 1) == {400}
    text = own.config.read_text()
    own.config.write_text(text.replace('close = ["egress"]', "close = []"))
    own.signal(signal.SIGHUP)
    until(lambda: own.tool(token, "echo").status == 200)
    (record,) = own.wait_for_records("--type", "policy.reload")
    whole = own.ask("audit", "show", str(record["seq"]))
    assert whole["admin"]["widens"] == "flow `lethal` closes less"


def test_replicas_share_touches_and_counts(
    tmp_path: Path,
    recorder: Recorder,
    postgres_server: PostgresServer,
    migrated_template: str,
) -> None:
    url = postgres_server.url(postgres_server.create(template=migrated_template))
    first = on_postgres(tmp_path / "one", recorder, url, more=TABLES)
    second = replica(tmp_path / "two", recorder, url, first, more=TABLES)
    try:
        first.start()
        second.start()
        token = first.token("alice")
        assert second.tool(token, "echo").status == 200
        bob = first.token("bob")
        for own, other, seen in ((first, second, token), (second, first, bob)):
            assert own.tool(seen, "streams").status == 200
            assert statuses(other, seen, "echo", 2) == {400}
        found = [it.tool(token, "fails").status for _ in range(8) for it in (first, second)]
        assert found.count(200) == 5
        assert set(found) == {200, 429}
    finally:
        first.kill()
        second.kill()
