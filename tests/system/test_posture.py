"""`posture` at a running gateway, and at what only looks like one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema
import pytest

from bascule.cli.schemas import schema_of
from system.server import Installation

LIVE = ("tokens", "shown", "strict")


def controls(bascule: Installation, *options: str) -> dict[str, dict[str, Any]]:
    result = bascule.cli("posture", *options, "--json")
    found = json.loads(result.stdout)
    jsonschema.validate(found, schema_of("posture"))
    every = {it["id"]: it for part in found["promises"] for it in part["controls"]}
    assert found["ok"] == (result.exit_code == 0)
    assert found["ok"] == all(it["state"] != "not_met" for it in every.values())
    assert all(it["evidence"] for it in every.values() if it["state"] != "met")
    assert found["level"] == level_of(found["assurance"])
    return every


def level_of(demands: list[dict[str, Any]]) -> str | None:
    best = None
    for level in ("L1", "L2", "L3", "L4"):
        if any(it["state"] != "met" for it in demands if it["level"] == level):
            return best
        best = level
    return best


def test_a_gateway_that_runs_is_asked(bascule: Installation) -> None:
    found = controls(bascule)
    assert {it: found[it]["state"] for it in LIVE} == dict.fromkeys(LIVE, "met")
    assert found["log"]["state"] == "met"
    # Tests run as somebody who can log in, and approve nothing.
    assert found["operator"]["state"] == "not_met"
    assert found["enforced"]["state"] == "not_met"


def test_people_are_told_the_level_and_what_comes_next(bascule: Installation) -> None:
    said = bascule.cli("posture").stdout
    assert "assurance level that this supports (CoSAI): L1" in said
    assert "L2 also needs: " in said
    assert "what to do next:\n  1. " in said


class Open(BaseHTTPRequestHandler):
    """Lets everything through."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed and "Content-Length" not in self.headers:
            self.headers["Content-Length"] = "0"
        return parsed

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere(bascule: Installation) -> Iterator[Installation]:
    """Give a configuration whose public URL leads to what lets everything through."""
    text = bascule.config.read_text()
    own = f'public_url = "http://127.0.0.1:{bascule.public}"'
    assert own in text
    with ThreadingHTTPServer(("127.0.0.1", 0), Open) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        other = f'public_url = "http://127.0.0.1:{server.server_port}"'
        bascule.config.write_text(text.replace(own, other))
        try:
            yield bascule
        finally:
            bascule.config.write_text(text)
            server.shutdown()


def test_what_lets_everything_through_meets_none(elsewhere: Installation) -> None:
    found = controls(elsewhere)
    assert {it: found[it]["state"] for it in LIVE} == dict.fromkeys(LIVE, "not_met")
    said = " ".join(found["tokens"]["evidence"])
    for what in (
        "initialize",
        "server/discover",
        "bad token",
        "another resource",
        "session",
    ):
        assert what in said


def test_what_cannot_be_reached_is_not_assessed(bascule: Installation) -> None:
    text = bascule.config.read_text()
    own = f'public_url = "http://127.0.0.1:{bascule.public}"'
    bascule.config.write_text(text.replace(own, 'public_url = "http://127.0.0.1:1"'))
    try:
        found = controls(bascule)
    finally:
        bascule.config.write_text(text)
    assert found["tokens"]["state"] == "not_assessed"
    assert found["strict"]["state"] == "not_assessed"
    assert "cannot be reached" in found["tokens"]["evidence"][0]
