"""Stdio servers behind the gateway: listed, called, refused, recorded, restarted."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bascule.app.stdio import socket_path
from patience import until
from ports import free_ports
from system.legacy_client import LegacyClient
from system.server import COMMAND, Installation
from system.stdio_gateway import install, sdk_client, serving, value, write_config
from system.stdio_host import child, is_running, saw, saw_calls


@pytest.fixture(scope="module")
def bascule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("stdio"), "--era", "both") as made:
        yield made


@pytest.fixture(scope="module")
def token(bascule: Installation) -> str:
    return bascule.token()


@pytest.mark.parametrize(
    ("mode", "version"),
    [("auto", "2026-07-28"), ("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")],
)
def test_a_real_server_is_listed_called_and_refused_in_each_era(
    mode: str, version: str, bascule: Installation
) -> None:
    found = sdk_client(bascule, "time", mode, "get_current_time", "convert_time")
    assert found["version"] == version
    assert found["tools"] == ["get_current_time"]
    # The tool wants an argument; its own complaint shows that it was reached.
    assert found["called"]["isError"] is True
    assert found["refused_error"]["code"] == -32602


def test_a_real_server_tells_the_time(bascule: Installation) -> None:
    answer = bascule.call(
        bascule.token("alice", "time"),
        "tools/call",
        {"name": "get_current_time", "arguments": {"timezone": "Asia/Tokyo"}},
        connector="time",
    )
    (said,) = answer.json["result"]["content"]
    assert json.loads(said["text"])["timezone"] == "Asia/Tokyo"


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_real_server_does_what_was_approved_once(era: str, bascule: Installation) -> None:
    token = bascule.token("alice", "clock")
    arguments = {
        "source_timezone": "UTC",
        "time": "12:00" if era == "modern" else "13:00",
        "target_timezone": "Asia/Tokyo",
    }
    params = {"name": "convert_time", "arguments": arguments}
    older = LegacyClient(bascule, token, "clock")
    assert era == "modern" or older.initialize().status == 200

    def call() -> Any:
        if era == "legacy":
            return older.call("tools/call", params).json
        return bascule.call(token, "tools/call", params, connector="clock").json

    waits = call()["error"]
    assert waits["code"] == (-32021 if era == "modern" else 428)
    number = waits["data"]["url"].rpartition("/")[2]
    assert bascule.ask("approvals", "show", number)["arguments"] == arguments
    bascule.ask("approvals", "approve", number)
    (said,) = call()["result"]["content"]
    assert json.loads(said["text"])["source"]["timezone"] == "UTC"
    assert call()["error"]["data"]["url"] != waits["data"]["url"]


def test_what_is_denied_never_reaches_the_server(bascule: Installation, token: str) -> None:
    listed = bascule.call(token, "tools/list").json["result"]
    assert [it["name"] for it in listed["tools"]] == ["echo", "env"]
    assert listed["cacheScope"] == "private"
    refused = bascule.tool(token, "forbidden")
    assert (refused.status, refused.error["code"]) == (400, -32602)
    assert bascule.tool(None, "echo").status == 401
    called = [
        it["message"]["params"]["name"]
        for it in saw(bascule.folder)
        if it["message"].get("method") == "tools/call"
    ]
    assert "forbidden" not in called


def test_the_server_sees_neither_token_nor_client_ids(
    bascule: Installation, token: str
) -> None:
    bascule.call(
        token,
        "tools/call",
        {"name": "echo", "arguments": {"a": 1}, "_meta": {"progressToken": "canary-1"}},
        message_id="canary-2",
    )
    text = (bascule.folder / "saw").read_text()
    assert token not in text
    assert "canary" not in text
    assert "bascule-user" not in text.lower()


def test_a_call_is_recorded_before_and_after(bascule: Installation, token: str) -> None:
    value(bascule.tool(token, "echo"))
    rows = bascule.wait_for_records("--name", "echo", "--type", "call.start")
    assert {it["decision"] for it in rows} == {"allow"}


def test_the_start_of_a_process_is_recorded_without_its_arguments(
    bascule: Installation, token: str
) -> None:
    value(bascule.tool(token, "echo"))
    (row, *_) = bascule.wait_for_records("--type", "server.start", "--connector", "desk")
    shown = bascule.cli("audit", "show", str(row["seq"]), "--json").stdout
    admin = json.loads(shown)["admin"]
    assert admin == {
        "program": sys.executable,
        "revision": "2026-07-28",
        "sandbox": "none",
    }


def test_a_server_killed_in_a_call_is_answered_for_and_started_again(
    bascule: Installation, token: str
) -> None:
    first = value(bascule.tool(token, "echo"))["pid"]
    before = len(saw_calls(bascule.folder, "hangs"))
    connection = bascule.abandoned(token, "hangs")
    until(lambda: len(saw_calls(bascule.folder, "hangs")) > before)
    os.kill(first, signal.SIGKILL)
    response = connection.getresponse()
    assert response.status == 502
    assert json.loads(response.read())["error"]["code"] == 502
    connection.close()
    assert value(bascule.tool(token, "echo"))["pid"] != first

    def outcomes() -> list[str]:
        records = bascule.whole_records()
        starts = {
            it["id"]
            for it in records
            if it["type"] == "call.start" and it["mcp"]["name"] == "hangs"
        }
        ends = (it for it in records if it.get("parent") in starts)
        return [it["result"].get("outcome", "ok") for it in ends]

    until(lambda: "upstream_failed" in outcomes())


def test_two_callers_with_the_same_ids_each_get_their_own(bascule: Installation) -> None:
    tokens = [bascule.token(it) for it in ("alice", "bob")]
    arguments = {"steps": 3}
    streams = [
        bascule.stream(
            it,
            "tools/call",
            {
                "name": "progress",
                "arguments": arguments,
                "_meta": {"progressToken": "same"},
            },
            "same",
        )
        for it in tokens
    ]
    for stream in streams:
        with stream:
            for step in range(3):
                progress = stream.expect()["params"]
                assert (progress["progressToken"], progress["progress"]) == ("same", step)
            assert stream.expect()["id"] == "same"
            assert stream.next() is None


def test_a_client_that_goes_away_cancels_its_call(
    bascule: Installation, token: str
) -> None:
    before = len(saw_calls(bascule.folder, "hangs"))
    connection = bascule.abandoned(token, "hangs")
    until(lambda: len(saw_calls(bascule.folder, "hangs")) > before)
    theirs = saw_calls(bascule.folder, "hangs")[-1]["id"]
    connection.close()

    def cancelled() -> list[int]:
        messages = [it["message"] for it in saw(bascule.folder)]
        found = [it for it in messages if it["method"] == "notifications/cancelled"]
        return [it["params"]["requestId"] for it in found]

    until(lambda: theirs in cancelled())


def test_a_subscription_is_told_of_changes(bascule: Installation, token: str) -> None:
    params = {"notifications": {"toolsListChanged": True}}
    with bascule.stream(token, "subscriptions/listen", params, "mine") as stream:
        assert stream.expect()["method"] == "notifications/subscriptions/acknowledged"
        value(bascule.tool(token, "changes"))
        changed = stream.expect()
    assert changed["method"] == "notifications/tools/list_changed"
    assert list(changed["params"]["_meta"].values()) == ["mine"]


def test_what_a_client_says_of_itself_does_not_make_it_another(
    bascule: Installation, token: str
) -> None:
    from system.server import body_of, headers_of

    body = body_of("tools/call", {"name": "env", "arguments": {}})
    headers = {**headers_of(body, token), "Bascule-User": "user:bob"}
    assert bascule.send(body, headers).status == 200


def test_the_socket_is_for_this_user_alone(bascule: Installation) -> None:
    path = socket_path(bascule.data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_long_data_directory_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    with serving(deep) as own:
        path = socket_path(own.data)
        assert not path.is_relative_to(deep)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert value(own.tool(own.token(), "echo"))
        assert own.stop() == 0
    assert not path.parent.exists()


def test_nothing_runs_until_the_first_call_and_nothing_after_the_end(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as own:
        assert saw(tmp_path) == []
        pid = value(own.tool(own.token(), "echo"))["pid"]
        assert own.stop() == 0
        assert not is_running(pid)


def test_nothing_is_left_when_the_gateway_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, "--stubborn") as own:
        token = own.token()
        pids = [
            value(own.tool(token, "echo"))["pid"],
            value(own.tool(token, "spawns"))["pid"],
        ]
        own.kill()
        until(lambda: not any(map(is_running, pids)))
        # What it has left behind does not keep the next one from starting.
        own.start()
        assert value(own.tool(own.token(), "echo"))


def test_a_reload_ends_what_has_changed_and_keeps_what_has_not(tmp_path: Path) -> None:
    with serving(tmp_path) as own:
        token = own.token()
        first = value(own.tool(token, "echo"))["pid"]
        with own.config.open("a") as file:
            file.write('[toolsets]\n"desk:all" = ["desk/*"]\n')
        own.signal(signal.SIGHUP)
        until(lambda: own.log.count("configuration reloaded") == 1)
        assert value(own.tool(token, "echo"))["pid"] == first
        write_config(own, desk='env = { NEW = "yes" }')
        own.signal(signal.SIGHUP)
        until(lambda: own.log.count("configuration reloaded") == 2)
        assert value(own.tool(token, "env"))["env"]["NEW"] == "yes"
        until(lambda: not is_running(first))


@pytest.mark.parametrize("by", ["SIGTERM", "SIGHUP"])
def test_a_call_that_is_going_on_is_answered_before_its_process_ends(
    by: str, tmp_path: Path
) -> None:
    with serving(tmp_path) as own:
        token = own.token()
        pid = value(own.tool(token, "echo"))["pid"]
        done = tmp_path / "done"
        params = {"name": "waits", "arguments": {"path": str(done)}}
        answers: list[Any] = []
        calling = threading.Thread(
            target=lambda: answers.append(own.call(token, "tools/call", params))
        )
        calling.start()
        until(lambda: bool(saw_calls(tmp_path, "waits")))
        write_config(own, desk='env = { NEW = "yes" }')
        own.signal(signal.Signals[by])
        if by == "SIGHUP":
            until(lambda: "configuration reloaded" in own.log)
        assert is_running(pid)
        done.touch()
        calling.join()
        assert value(answers[0]) == "done"
        until(lambda: not is_running(pid))


def test_secrets_of_the_environment_are_read_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("desk-secret-canary\n")
    desk = f'env = {{ KEY = "file:{secret}" }}'
    with serving(tmp_path, desk=desk) as own:
        token = own.token()
        found = value(own.tool(token, "env"))
        assert found["env"]["KEY"] == "desk-secret-canary"
        arguments = {"text": "key is desk-secret-canary \x1b[2J\n"}
        value(own.call(token, "tools/call", {"name": "stderr", "arguments": arguments}))
        until(lambda: "[desk] key is [secret] \\x1b[2J" in own.log)
        assert own.stop() == 0
        assert "canary" not in own.log


def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    own = Installation(tmp_path, *free_ports(2))
    write_config(own, desk='env = { KEY = "env:NO_SUCH_VARIABLE" }')
    result = own.run_up()
    assert result.returncode == 3
    assert "NO_SUCH_VARIABLE" in result.stderr


def test_a_command_that_is_not_there_is_told_to_the_operator_alone(tmp_path: Path) -> None:
    own = Installation(tmp_path, *free_ports(2))
    write_config(own)
    text = own.config.read_text()
    own.config.write_text(text.replace(json.dumps(sys.executable), '"no-such-program"', 1))
    own.ask("user", "add", "alice")
    own.start()
    try:
        answer = own.tool(own.token(), "echo")
        assert answer.status == 502
        assert "no-such-program" not in answer.body.decode()
        until(lambda: "`no-such-program` is not on PATH" in own.log)
    finally:
        own.kill()


def test_a_server_that_asks_for_input_gets_its_own_state_back(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, desk='may_ask = ["elicitation"]') as own:
        token = own.token()
        params: Mapping[str, Any] = {
            "name": "needs_input",
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}
            },
        }
        result = own.call(token, "tools/call", params).json["result"]
        assert result["resultType"] == "input_required"
        again = {**params, "requestState": result["requestState"], "inputResponses": {}}
        own.call(token, "tools/call", again)
        sent = saw(tmp_path)[-1]["message"]["params"]
        assert sent["requestState"] == 'state of the server: \u00e9 \\ " /'


def test_the_operator_is_told_what_a_server_could_do(bascule: Installation) -> None:
    until(lambda: "not sandboxed" in bascule.log)
    assert f"`{bascule.data}` with its keys included" in bascule.log
    assert stat.S_IMODE((bascule.data / "keys").stat().st_mode) == 0o700


LESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
"""Makes root a user like any other, who may look into what is its own and no more."""


@pytest.mark.parametrize("workers", [1, 2])
def test_another_process_of_the_same_user_cannot_look_into_memory(
    workers: int, tmp_path: Path
) -> None:
    own = install(tmp_path)
    command = [*LESS, *COMMAND, *own.options, "up", "--workers", str(workers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stderr is not None
        assert any(line.startswith("ready ") for line in gateway.stderr)
        server = value(own.tool(own.token(), "echo"))["pid"]
        path = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
        others = [int(it) for it in path.read_text().split()]
        ours = [gateway.pid, *(it for it in others if "worker" in command_line(it))]
        assert len(ours) == (1 if workers == 1 else 1 + workers)
        looked = [may_look_into(it) for it in (*ours, server)]
        gateway.terminate()
    assert looked == [False] * len(ours) + [True]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def may_look_into(pid: int) -> bool:
    """Tell whether a process of this user can read another's environment."""
    command = [*LESS, "cat", f"/proc/{pid}/environ"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_workers_reach_the_same_processes(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as own:
        token = own.token()
        pids = {value(own.tool(token, "echo"))["pid"] for _ in range(10)}
    assert len(pids) == 1


def test_a_program_that_is_not_there_is_a_warning_of_config_check(tmp_path: Path) -> None:
    own = Installation(tmp_path, *free_ports(2))
    write_config(own)
    assert own.ask("config", "check")["warnings"] == []
    text = own.config.read_text()
    own.config.write_text(text.replace(json.dumps(sys.executable), '"no-such-program"', 1))
    found = own.ask("config", "check")
    assert (found["ok"], found["problems"]) == (True, [])
    (warning,) = found["warnings"]
    assert warning["path"] == "connectors.desk.command"
    assert "`no-such-program` is not on PATH" in warning["message"]


def test_what_add_writes_is_served_once_it_may_be(tmp_path: Path) -> None:
    with serving(tmp_path) as own:
        added = own.cli(
            "add", "--no-lock", "later", "--", *child(tmp_path, "--era", "both")
        )
        assert added.exit_code == 0
        with own.config.open("a") as file:
            file.write('[roles.later]\nmembers = ["user:alice"]\nallow = ["later/*"]\n')
        text = own.config.read_text()
        own.config.write_text(text.replace('"time/*"]', '"time/*", "later/*"]'))
        own.signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in own.log)
        params = {"name": "echo", "arguments": {}}
        token = own.token("alice", "later")
        assert own.call(token, "tools/call", params, connector="later").status == 503
        text = own.config.read_text()
        own.config.write_text(text.replace('mode = "enforce"', 'mode = "observe"'))
        own.signal(signal.SIGHUP)
        until(lambda: own.log.count("configuration reloaded") == 2)
        assert value(own.call(token, "tools/call", params, connector="later"))
