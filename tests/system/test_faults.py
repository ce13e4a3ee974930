"""Upstreams that misbehave, clients that go away, servers that are killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.clock import monotonic
from patience import PATIENCE, until
from system.recorder import Recorder
from system.server import Installation, body_of, headers_of, install, serving


@pytest.fixture(scope="module")
def token(bascule: Installation) -> str:
    return bascule.token()


def ended(bascule: Installation, tool: str) -> list[str]:
    """Give how the calls of a tool ended, oldest first, once all in the log have ended."""

    def outcomes() -> list[str | None]:
        records = bascule.whole_records()
        ends = {
            it["parent"]: it["result"].get("outcome", "ok")
            for it in records
            if "parent" in it
        }
        started = [it for it in records if it["type"] == "call.start"]
        return [ends.get(it["id"]) for it in started if it["mcp"]["name"] == tool]

    until(lambda: bool(found := outcomes()) and None not in found)
    return [it for it in outcomes() if it is not None]


BROKEN = {
    "dies": ("upstream_failed", 502),
    "dies_midway": ("upstream_failed", 502),
    "garbage": ("upstream_failed", 502),
    "no_json": ("upstream_failed", 502),
    "html": ("upstream_failed", 502),
    "redirects": ("upstream_failed", 502),
    "foreign_id": ("upstream_failed", 502),
    "stream_foreign_id": ("upstream_failed", 502),
    "stream_garbage": ("upstream_failed", 502),
    "floods": ("upstream_failed", 502),
    "stream_floods": ("upstream_failed", 502),
    "hangs": ("timeout", 504),
}


@pytest.mark.parametrize("tool", BROKEN)
def test_an_upstream_that_fails_is_answered_for(
    tool: str, bascule: Installation, token: str
) -> None:
    _, status = BROKEN[tool]
    answer = bascule.tool(token, tool)
    assert (answer.status, answer.json["id"], answer.error["code"]) == (status, 7, status)
    assert "result" not in answer.json
    assert bascule.tool(token, "echo").status == 200


def test_how_calls_to_a_failing_upstream_ended_is_recorded(
    bascule: Installation, token: str
) -> None:
    for tool in BROKEN:
        bascule.tool(token, tool)
    for tool, (outcome, _) in BROKEN.items():
        until(lambda tool=tool, outcome=outcome: outcome in ended(bascule, tool))


@pytest.mark.parametrize("tool", ["stream_dies", "stream_ends"])
def test_a_stream_that_breaks_ends_with_an_error(
    tool: str, bascule: Installation, token: str
) -> None:
    with bascule.stream(token, "tools/call", {"name": tool}, "mine") as stream:
        assert stream.expect()["method"] == "notifications/message"
        last = stream.expect()
        assert stream.next() is None
    assert (last["id"], last["error"]["code"]) == ("mine", 502)
    assert ended(bascule, tool) == ["upstream_failed"]


def test_an_upstream_that_cannot_be_reached_is_answered_for(
    tmp_path: Path, recorder: Recorder
) -> None:
    with serving(tmp_path, Recorder(port=1)) as own:
        answer = own.tool(own.token(), "echo")
    assert (answer.status, answer.json["id"]) == (502, 7)


def test_what_a_tool_says_of_its_own_failure_is_passed_on(
    bascule: Installation, token: str
) -> None:
    assert bascule.tool(token, "fails").json["result"]["isError"] is True
    assert ended(bascule, "fails") == ["ok"]


@pytest.mark.parametrize("tool", ["hangs", "opens"])
def test_a_client_that_goes_away_cancels_its_call(
    tool: str, bascule: Installation, token: str, upstream: Recorder
) -> None:
    connection = bascule.abandoned(token, tool)
    upstream.wait()
    connection.close()
    upstream.wait_closed()
    until(lambda: "client_gone" in ended(bascule, tool))


def test_an_identity_has_a_bounded_number_of_calls_in_flight(
    tmp_path: Path, recorder: Recorder
) -> None:
    with serving(tmp_path, recorder, more="in_flight = 3") as own:
        token = own.token()
        busy = [own.abandoned(token, "opens") for _ in range(3)]
        for _ in busy:
            recorder.wait()
        answer = own.call(token, "tools/list")
        assert (answer.status, answer.error["code"]) == (429, 429)
        assert own.call(own.token("bob"), "tools/list").status == 200
        for connection in busy:
            connection.close()
        until(lambda: own.call(token, "tools/list").status == 200)


def test_only_failures_are_refused_for_being_many(
    tmp_path: Path, recorder: Recorder
) -> None:
    with serving(tmp_path, recorder) as own:
        text = own.config.read_text()
        own.stop()
        own.config.write_text(text.replace("minute = 100000", "minute = 5"))
        own.start()
        token = own.token()
        found = [own.call("garbage", "tools/list").status for _ in range(7)]
        assert found == [401] * 5 + [429] * 2
        assert own.call(token, "tools/list").status == 200


# Killed


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    recorder.take()
    with serving(tmp_path, recorder) as made:
        yield made


def assert_log_is_whole(own: Installation) -> None:
    verified = own.ask("audit", "verify")
    assert (verified["ok"], verified["problems"]) == (True, [])


@pytest.mark.parametrize("tool", ["hangs", "opens"])
def test_a_server_that_is_killed_in_a_call_starts_clean_and_closes_its_record(
    tool: str, own: Installation, recorder: Recorder
) -> None:
    connection = own.abandoned(own.token(), tool)
    recorder.wait()
    own.kill()
    connection.close()
    assert_log_is_whole(own)
    own.start()
    assert ended(own, tool) == ["outcome_unknown"]
    assert own.tool(own.token(), "echo").status == 200
    assert own.stop() == 0
    assert_log_is_whole(own)


def test_no_call_that_went_upstream_lacks_its_record_whenever_the_server_is_killed(
    own: Installation, recorder: Recorder
) -> None:
    for _ in range(3):
        token = own.token()
        calls = [own.abandoned(token, "echo") for _ in range(8)]
        recorder.wait()
        own.kill()
        for connection in calls:
            connection.close()
        own.start()
    seen = len([it for it in recorder.take() if it.message["method"] == "tools/call"])
    assert len(ended(own, "echo")) >= seen
    own.stop()
    assert_log_is_whole(own)


# Stopped and reloaded


def test_sigterm_lets_a_call_end_and_exits_with_0(
    own: Installation, recorder: Recorder
) -> None:
    token = own.token()
    connection = own.abandoned(token, "hangs")
    recorder.wait()
    own.signal(signal.SIGTERM)
    response = connection.getresponse()
    assert response.status == 504
    response.read()
    connection.close()
    assert own.process is not None
    assert own.process.wait(10) == 0
    assert ended(own, "hangs") == ["timeout"]
    assert_log_is_whole(own)


def test_sigterm_does_not_wait_for_those_who_only_listen(own: Installation) -> None:
    params: dict[str, Any] = {"notifications": {}}
    with own.stream(own.token(), "subscriptions/listen", params) as stream:
        stream.expect()
        before = monotonic()
        assert own.stop() == 0
        assert monotonic() - before < 10


def test_a_reload_takes_up_new_rights(own: Installation) -> None:
    token = own.token()
    text = own.config.read_text()
    assert own.tool(token, "forbidden").status == 400
    own.config.write_text(text.replace('"desk/echo", ', '"desk/forbidden", ', 1))
    own.signal(signal.SIGHUP)
    until(lambda: own.tool(token, "forbidden").status == 200)
    assert own.tool(token, "echo").status == 400
    assert own.wait_for_records("--type", "policy.reload")


def test_connections_of_strangers_leave_files_for_the_work(
    tmp_path: Path, recorder: Recorder
) -> None:
    """Whoever opens connections and says nothing must not keep the log from its files."""
    own = install(tmp_path / "few", recorder)
    own.command = ["prlimit", "--nofile=400:400", *own.command]
    own.start("--workers", "1")
    token = own.token()
    body = body_of("tools/call", {"name": "echo", "arguments": {}})
    with contextlib.ExitStack() as stack:
        stack.callback(own.kill)
        client = http.client.HTTPConnection("127.0.0.1", own.public, timeout=PATIENCE)
        stack.callback(client.close)
        client.connect()
        for _ in range(500):
            stranger = socket.create_connection(("127.0.0.1", own.public), PATIENCE)
            stack.callback(stranger.close)
        client.request("POST", "/c/desk/mcp", json.dumps(body), headers_of(body, token))
        answer = client.getresponse()
        assert (answer.status, b"error" in answer.read()) == (200, False)
        own.wait_for_records("--type", "call.end")
        assert "client connections at most" in own.log


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["asked", "watching"])
def test_a_reload_that_finds_no_file_to_open_ends_nothing(
    own: Installation, options: list[str]
) -> None:
    """Somebody floods, and the operator's first answer is a reload."""
    own.stop()
    own.start(*options)
    assert own.process is not None
    (own.config.parent / "policies").mkdir(mode=0o700)
    command = ["prlimit", "--pid", str(own.process.pid)]
    before = subprocess.run(
        [*command, "--nofile", "--noheadings", "--raw", "--output", "SOFT,HARD"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    subprocess.run([*command, "--nofile=3:"], check=True)
    own.signal(signal.SIGHUP)
    until(lambda: "reload refused" in own.log)
    subprocess.run([*command, f"--nofile={before[0]}:"], check=True)
    own.signal(signal.SIGHUP)
    assert own.wait_for_records("--type", "policy.reload")
    assert own.tool(own.token(), "echo").status == 200


def test_a_call_that_hangs_across_a_reload_is_given_up_in_time(
    own: Installation, recorder: Recorder
) -> None:
    """Its connector has changed, so its connection is none of those in use any more."""
    connection = own.abandoned(own.token(), "hangs")
    recorder.wait()
    text = own.config.read_text()
    own.config.write_text(text.replace('may_ask = ["elicitation"]', "may_ask = []"))
    own.signal(signal.SIGHUP)
    own.wait_for_records("--type", "policy.reload")
    response = connection.getresponse()
    assert response.status == 504
    response.read()
    connection.close()


def test_streams_of_a_connector_that_is_taken_away_end(own: Installation) -> None:
    params: dict[str, Any] = {"notifications": {}}
    with own.stream(own.token(), "subscriptions/listen", params) as stream:
        stream.expect()
        text = own.config.read_text().replace("connectors.desk", "connectors.other")
        own.config.write_text(text.replace('"desk', '"other'))
        own.signal(signal.SIGHUP)
        while "error" not in (message := stream.expect()):
            continue
    assert message["error"]["code"] == 502


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("bascule.toml", "[connectors", "bascule.toml"),
        ("bascule.toml", "[server]\nlisten = 'localhost:1'\n", "restart"),
        ("policies/bad.cedar", "permit (principal, action, resource);", "@id"),
        ("policies/bad.cedar", "this is no policy", "bad.cedar"),
    ],
)
def test_a_bad_reload_changes_nothing_and_is_told(
    file: str, text: str, words: str, own: Installation
) -> None:
    token = own.token()
    path = own.folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    own.signal(signal.SIGHUP)
    until(lambda: "reload refused" in own.log)
    assert words in own.log
    assert own.tool(token, "echo").status == 200
    assert own.tool(token, "forbidden").status == 400
    assert own.records("--type", "policy.reload") == []


def remove_annex(own: Installation) -> None:
    """Take a connector out of the configuration, and see that in force."""
    before, _, rest = own.config.read_text().partition("[connectors.annex]")
    rest = rest.partition("[roles")[2].replace('"annex/*", ', "").replace(', "annex/*"', "")
    own.config.write_text(f"{before}[roles{rest}")
    own.signal(signal.SIGHUP)
    until(lambda: "configuration reloaded" in own.log)


def test_a_connector_that_a_reload_took_away_is_not_there(
    own: Installation, recorder: Recorder
) -> None:
    token = own.token("alice", "annex")
    assert own.call(token, "tools/list", connector="annex").status == 200
    remove_annex(own)
    recorder.take()
    for method in ("tools/list", "server/discover"):
        answer = own.call(token, method, connector="annex")
        assert answer.status in {400, 401}
    assert recorder.take() == []
    assert "bug" not in own.log


def test_a_call_that_is_under_way_when_its_connector_goes_is_still_served(
    own: Installation,
) -> None:
    body = body_of("tools/call", {"name": "echo", "arguments": {}})
    content = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", own.public, timeout=PATIENCE)
    connection.putrequest("POST", "/c/annex/mcp")
    for name, value in headers_of(body, own.token("alice", "annex")).items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:10])
    remove_annex(own)
    connection.send(content[10:])
    response = connection.getresponse()
    assert response.status == 200
    response.read()
    connection.close()
    assert ended(own, "echo") == ["ok"]
