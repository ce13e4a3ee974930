"""The doctor at a running gateway: what it finds, what it says to do, what it leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from bascule.cli.schemas import schema_of
from conformance.rig import fixture_server
from system.recorder import Recorder
from system.server import Installation, install, serving

STEPS = [
    "no_token",
    "metadata",
    "foreign_audience",
    "list",
    "unknown_name",
    "record",
    "receipt",
]


def examined(bascule: Installation, *options: str) -> tuple[int, list[dict[str, Any]]]:
    result = bascule.cli("doctor", *options, "--json")
    found = json.loads(result.stdout)
    jsonschema.validate(found, schema_of("doctor"))
    assert found["ok"] == (result.exit_code == 0)
    assert all((it["fix"] == "") == it["ok"] for it in found["checks"])
    checks: list[dict[str, Any]] = found["checks"]
    return result.exit_code, checks


def wrong(checks: list[dict[str, Any]]) -> dict[str, str]:
    """Give the fix for each step that is not well."""
    return {it["check"]: it["fix"] for it in checks if not it["ok"]}


def test_all_is_well_with_every_connector(
    bascule: Installation, upstream: Recorder
) -> None:
    code, checks = examined(bascule)
    assert (code, wrong(checks)) == (0, {})
    steps = [(it["connector"], it["check"]) for it in checks]
    assert steps == [
        (None, "ready"),
        *[(name, step) for name in ("desk", "annex") for step in STEPS],
    ]
    methods = {request.message["method"] for request in upstream.take()}
    assert methods <= {"tools/list", "server/discover", "initialize"}


def test_what_it_did_is_in_the_log(bascule: Installation) -> None:
    before = len(bascule.records("--type", "token.issue"))
    code, checks = examined(bascule, "--connector", "annex")
    assert code == 0
    assert {it["connector"] for it in checks} == {None, "annex"}
    bascule.wait_for_records("--type", "token.issue", count=before + 3)
    bascule.wait_for_records("--type", "doctor")


def test_one_line_for_each_step_and_what_to_do(bascule: Installation) -> None:
    lines = bascule.cli("doctor", "--connector", "desk").stdout.splitlines()
    assert len(lines) == 1 + len(STEPS)
    assert all(line.startswith("ok ") for line in lines)


def test_no_tool_is_called_whatever_the_roles_give(
    tmp_path: Path, recorder: Recorder
) -> None:
    more = '[roles.all]\nmembers = ["agent:bascule-cli"]\nallow = ["desk/*"]\n'
    with serving(tmp_path, recorder, more=more) as bascule:
        recorder.take()
        code, checks = examined(bascule, "--connector", "desk")
        assert (code, wrong(checks)) == (0, {})
        methods = {request.message["method"] for request in recorder.take()}
        assert "tools/call" not in methods


def test_a_server_of_the_older_revisions_is_well(
    tmp_path: Path, recorder: Recorder
) -> None:
    with fixture_server("legacy") as port:
        own = install(tmp_path, recorder)
        text = own.config.read_text()
        behind = f"http://127.0.0.1:{recorder.port}/annex"
        own.config.write_text(text.replace(behind, f"http://127.0.0.1:{port}/mcp"))
        own.start()
        try:
            code, checks = examined(own, "--connector", "annex")
            assert (code, wrong(checks)) == (0, {})
            (listed,) = (it for it in checks if it["check"] == "list")
            assert listed["found"] == "the server behind lists"
        finally:
            own.kill()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Installation]:
    """Give a gateway whose servers do not run."""
    own = install(tmp_path, Recorder(port=1))
    own.start()
    yield own
    own.kill()


def test_a_server_that_does_not_run_is_named(alone: Installation) -> None:
    code, checks = examined(alone)
    assert code == 1
    assert list(wrong(checks)) == ["list"]
    assert "start the server behind" in wrong(checks)["list"]
    shown = alone.cli("doctor", "--connector", "desk").stdout
    assert "BAD  desk  list: a list is answered 502\n     -> start the server" in shown


class Anything(BaseHTTPRequestHandler):
    """Answers whatever is asked, and keeps what it was shown."""

    shown: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.shown.append(str(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_a_public_url_that_leads_elsewhere_is_found_and_shown_no_token(
    alone: Installation,
) -> None:
    text = alone.config.read_text()
    with ThreadingHTTPServer(("127.0.0.1", 0), Anything) as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        for port, check in ((1, "ready"), (other.server_port, "no_token")):
            elsewhere = text.replace(
                f'public_url = "http://127.0.0.1:{alone.public}"',
                f'public_url = "http://127.0.0.1:{port}"',
            )
            alone.config.write_text(elsewhere)
            code, checks = examined(alone, "--connector", "desk")
            assert code == 1
            assert list(wrong(checks)) == [check]
            assert "lead" in wrong(checks)[check]
        other.shutdown()
    assert Anything.shown
    assert "Bearer" not in "".join(Anything.shown)
    assert all("User-Agent: bascule-probe/" in it for it in Anything.shown)


def test_without_a_server_it_cannot_run(tmp_path: Path) -> None:
    own = install(tmp_path, Recorder(port=1))
    result = own.cli("doctor")
    assert result.exit_code == 3
    assert "start it" in result.stderr


def test_an_unknown_connector_is_told(bascule: Installation) -> None:
    result = bascule.cli("doctor", "--connector", "nowhere")
    assert result.exit_code == 3
    assert "nowhere" in result.stderr
