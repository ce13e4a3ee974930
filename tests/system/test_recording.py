"""No call without its record, and no secrets in records, logs and metrics."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import PATIENCE, until
from system.recorder import Recorder
from system.server import Answer, Installation, install, serving

SECRET = "hunter2-canary"


@pytest.fixture
def own(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    with serving(tmp_path, recorder) as made:
        yield made


def limit_files(own: Installation, most: str) -> None:
    """Let the server's files grow no further; only the soft limit, so that it can go."""
    assert own.process is not None
    command = ["prlimit", "--pid", str(own.process.pid), f"--fsize={most}:unlimited"]
    subprocess.run(command, check=True)


def test_what_cannot_be_recorded_is_not_done(own: Installation, recorder: Recorder) -> None:
    token = own.token()
    assert own.tool(token, "echo").status == 200
    recorder.take()
    limit_files(own, "1")
    for _ in range(3):
        answer = own.tool(token, "echo")
        assert (answer.status, answer.json["id"], answer.error["code"]) == (503, 7, 503)
        assert answer.error["message"] == "the record cannot be written"
    ready = own.send(b"", {}, path="/readyz", verb="GET")
    assert (ready.status, ready.body) == (503, b"the log is late or cannot be written\n")
    until(lambda: "log: the log cannot be written: " in own.log)
    assert own.call(token, "tools/list").status == 503
    assert recorder.take() == []
    limit_files(own, "unlimited")
    until(lambda: own.tool(token, "echo").status == 200)
    assert own.stop() == 0
    assert own.ask("audit", "verify")["ok"] is True


def test_what_is_too_large_to_be_recorded_is_not_done(
    tmp_path: Path, recorder: Recorder
) -> None:
    own = install(tmp_path, recorder, more="body_bytes = 33554432")
    text = own.config.read_text()
    keeping = text.replace("[connectors.desk]", "[connectors.desk]\nrecord_values = true")
    own.config.write_text(keeping)
    own.start()
    try:
        token = own.token()
        assert own.tool(token, "echo", text="x" * (7 << 20)).status == 200
        recorder.take()
        answer = own.tool(token, "echo", text="x" * (9 << 20))
        assert (answer.status, answer.json["id"]) == (413, 7)
        assert recorder.take() == []
        assert own.tool(token, "echo").status == 200
    finally:
        own.kill()


def test_a_client_that_is_gone_at_once_leaves_no_call_open(own: Installation) -> None:
    token = own.token()
    for _ in range(40):
        own.abandoned(token, "echo").close()
    assert own.tool(token, "echo").status == 200

    def all_closed() -> bool:
        records = own.whole_records()
        ended = {it["parent"] for it in records if "parent" in it}
        started = {it["id"] for it in records if it["type"] == "call.start"}
        return bool(started) and started == ended

    until(all_closed)


def test_arguments_are_recorded_by_name_alone(bascule: Installation) -> None:
    token = bascule.token()
    assert bascule.tool(token, "echo", password=SECRET).status == 200
    bascule.wait_for_records("--type", "call.end")
    for path in bascule.data.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content
        assert token.rpartition(".")[2].encode() not in content
    assert SECRET not in bascule.log


def test_each_call_has_one_decided_and_one_completed_record(bascule: Installation) -> None:
    until(lambda: bascule.records() != [])
    token = bascule.token("bob")
    for name in ("echo", "fails", "forbidden"):
        bascule.tool(token, name)
    selectors = ("--user", "bob", "--connector", "desk")
    until(lambda: len(bascule.records(*selectors, "--type", "call.end")) == 2)
    rows = bascule.records(*selectors)
    found = [(it["type"], it["name"], it["decision"]) for it in rows]
    assert found == [
        ("token.issue", None, None),
        ("call.start", "echo", "allow"),
        ("call.end", None, None),
        ("call.start", "fails", "allow"),
        ("call.end", None, None),
        ("authz.decision", "forbidden", "deny"),
    ]
    assert all(it["user"] == "user:bob" for it in rows)


def test_the_code_of_a_refusal_leads_to_its_reason(bascule: Installation) -> None:
    refused = bascule.tool(bascule.token(), "forbidden")
    code = refused.error["data"]["code"]
    until(lambda: bascule.cli("decide", "--code", code).exit_code == 1)
    answer = json.loads(bascule.cli("decide", "--code", code, "--json").stdout)
    rows = bascule.records("--name", "forbidden")
    (row,) = [it for it in rows if it["seq"] == answer["record"]]
    assert answer == {
        "decision": "deny",
        "reason": row["reason"],
        "policies": row["policies"],
        "scopes": [],
        "record": row["seq"],
    }
    shown = bascule.cli("decide", "--code", code).stdout
    assert "alice  bascule-cli  desk  tools/call  forbidden" in shown


def test_a_recorded_call_is_explained_by_what_is_in_force(bascule: Installation) -> None:
    refused = bascule.tool(bascule.token(), "forbidden")
    code = refused.error["data"]["code"]
    until(lambda: bascule.cli("decide", "--code", code).exit_code == 1)
    words = ("policy", "explain", "--code")
    found = json.loads(bascule.cli(*words, code, "--json").stdout)
    row = bascule.records("--name", "forbidden")[-1]
    assert found["record"] == {
        "seq": row["seq"],
        "decision": "deny",
        "reason": row["reason"],
        "policies": row["policies"],
        "missing": "",
    }
    assert (found["decision"], found["reason"]) == ("deny", row["reason"])
    assert found["asked"][0]["who"] == "user:alice"
    told = bascule.cli(*words, str(row["seq"])).stdout.splitlines()
    assert told[0].startswith(f"record {row['seq']}: deny: {row['reason']}")
    assert told[1].startswith(f"deny: {row['reason']}")
    (issued, *_) = bascule.records("--type", "token.issue")
    result = bascule.cli(*words, str(issued["seq"]))
    assert result.exit_code == 3
    assert "is of no call that a right is needed for" in result.stderr


@pytest.mark.parametrize("kind", ["unknown", "an allowed call's id"])
def test_what_is_no_code_of_a_refusal_is_said(kind: str, bascule: Installation) -> None:
    bascule.tool(bascule.token(), "echo")
    until(lambda: bascule.records("--type", "call.start") != [])
    (record, *_) = bascule.records("--type", "call.start")
    code = "0" * 32 if kind == "unknown" else record["id"]
    result = bascule.cli("decide", "--code", code)
    assert result.exit_code == 3
    assert "there is no record" in result.stderr or "no code of a refusal" in result.stderr


def admin(bascule: Installation, path: str, host: str | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", bascule.admin, timeout=PATIENCE)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return Answer(response.status, dict(response.getheaders()), body)


def test_metrics_name_nobody_and_nothing(bascule: Installation) -> None:
    token = bascule.token()
    bascule.tool(token, "echo")
    bascule.tool(token, "forbidden")
    answer = admin(bascule, "/metrics")
    assert answer.status == 200
    for name in (b"alice", b"bob", b"desk", b"echo", b"forbidden", b"bascule-cli"):
        assert name not in answer.body


def test_the_listeners_do_not_serve_each_others_paths(bascule: Installation) -> None:
    assert bascule.send(b"", {}, path="/metrics", verb="GET").status == 404
    for path in ("/c/desk/mcp", "/oauth/jwks"):
        assert admin(bascule, path).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8421", "127.0.0.1"])
def test_the_admin_listener_refuses_foreign_hosts(host: str, bascule: Installation) -> None:
    assert admin(bascule, "/metrics", host).status == 421
